/** A value of D-Bus: structs and dictionaries are lists, `ay` is bytes, a variant is a type and a value of it. */
export type Value = number | string | Buffer | readonly Value[]

const ALIGNMENT: Record<string, number> = { y: 1, g: 1, v: 1, u: 4, b: 4, s: 4, o: 4, a: 4, '(': 8, '{': 8 }

const alignmentOf = (type: string): number => {
  const alignment = ALIGNMENT[type.charAt(0)]
  if (alignment === undefined) throw new Error(`a value of the type "${type}"`)
  return alignment
}

/** The complete types in a signature, as far as a Secret Service uses them. */
export function typesIn(signature: string): string[] {
  const types: string[] = []
  for (let start = 0; start < signature.length; ) {
    const end = endOfType(signature, start)
    types.push(signature.slice(start, end))
    start = end
  }
  return types
}

function endOfType(signature: string, start: number): number {
  const first = signature.charAt(start)
  if (first === '') throw new Error(`the signature "${signature}"`)
  if (first === 'a') return endOfType(signature, start + 1)
  if (first !== '(' && first !== '{') return start + 1
  let end = endOfType(signature, start + 1)
  while (!')}'.includes(signature.charAt(end) || ' ')) end = endOfType(signature, end)
  return end + 1
}

/** Values as the body of a message, or as its header: little-endian, counted from its beginning. */
export function marshal(signature: string, values: readonly Value[]): Buffer {
  const pieces: Buffer[] = []
  let length = 0
  const put = (bytes: Buffer): void => {
    pieces.push(bytes)
    length += bytes.length
  }
  const align = (type: string): void => put(Buffer.alloc(-length & (alignmentOf(type) - 1)))
  const putNumber = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    put(bytes)
    return bytes
  }
  const write = (type: string, value: Value | undefined): void => {
    align(type)
    if (Buffer.isBuffer(value)) {
      putNumber(value.length)
      put(value)
    } else if (typeof value === 'number') {
      if (type === 'y') put(Buffer.from([value]))
      else putNumber(value)
    } else if (typeof value === 'string') {
      const text = Buffer.from(`${value}\0`)
      if (type === 'g') put(Buffer.from([text.length - 1]))
      else putNumber(text.length - 1)
      put(text)
    } else if (type === 'v') {
      const [inner, content] = value as [string, Value]
      write('g', inner)
      write(inner, content)
    } else if (type.startsWith('a')) {
      const size = putNumber(0)
      align(type.slice(1))
      const start = length
      for (const element of value ?? []) write(type.slice(1), element)
      size.writeUInt32LE(length - start)
    } else for (const [index, member] of typesIn(type.slice(1, -1)).entries()) write(member, value?.[index])
  }
  for (const [index, type] of typesIn(signature).entries()) write(type, values[index])
  return Buffer.concat(pieces)
}

/** The values that bytes hold, counted from the beginning of a message or of its body. */
export function unmarshal(types: readonly string[], bytes: Buffer): Value[] {
  let at = 0
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new Error('a message that is cut off')
    at += length
    return bytes.subarray(at - length, at)
  }
  const takeText = (length: number): string => {
    const text = take(length).toString()
    take(1)
    return text
  }
  const align = (type: string): void => void take(-at & (alignmentOf(type) - 1))
  const takeNumber = (): number => take(4).readUInt32LE()
  const read = (type: string): Value => {
    align(type)
    switch (type.charAt(0)) {
      case 'y':
        return take(1).readUInt8()
      case 'u':
      case 'b':
        return takeNumber()
      case 's':
      case 'o':
        return takeText(takeNumber())
      case 'g':
        return takeText(take(1).readUInt8())
      case 'v': {
        const inner = String(read('g'))
        return [inner, read(inner)]
      }
      case 'a': {
        const size = takeNumber()
        if (type === 'ay') return take(size)
        align(type.slice(1))
        const end = at + size
        const elements: Value[] = []
        while (at < end) elements.push(read(type.slice(1)))
        return elements
      }
      default:
        return typesIn(type.slice(1, -1)).map(read)
    }
  }
  return types.map(read)
}
