import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { connectToBus, sessionBusSockets, toBus } from '../../../lib/store/keychain/bus.ts'
import { marshal, typesIn, unmarshal, type Value } from '../../../lib/store/keychain/wire.ts'
import { listening } from '../../support/listening.ts'
import { secretServiceTest } from '../../support/needs.ts'
import { startSecretService } from '../../support/secret-service.ts'

describe('D-Bus values', () => {
  test('dbus: a struct after a byte begins at a multiple of eight', () => {
    // From the specification: little-endian, each value at a multiple of its size.
    const bytes = marshal('ya(us)', [7, [[1, 'ab']]])
    expect(bytes.toString('hex')).toBe('07000000' + '0b000000' + '01000000' + '02000000' + '616200')
    expect(unmarshal(['y', 'a(us)'], bytes)).toEqual([7, [[1, 'ab']]])
  })

  const text = fc.string({ unit: 'grapheme' }).filter(value => value.isWellFormed() && !value.includes('\0'))
  const bytes = fc.uint8Array().map(value => Buffer.from(value))
  const u32 = fc.nat({ max: 0xffff_ffff })
  const SHAPES: [signature: string, values: fc.Arbitrary<Value[]>][] = [
    ['a{ss}', fc.tuple(fc.array(fc.tuple(text, text)))],
    ['(oayays)', fc.tuple(fc.tuple(text, bytes, bytes, text))],
    [
      'yvbv',
      fc.tuple(fc.nat(255), fc.tuple(fc.constant('s'), text), fc.nat(1), fc.tuple(fc.constant('ay'), bytes)),
    ],
    ['a{sv}uao', fc.tuple(fc.array(fc.tuple(text, fc.tuple(fc.constant('u'), u32))), u32, fc.array(text))],
  ]
  test.each(SHAPES)('dbus: values of "%s" are read as they were written', (signature, values) =>
    fc.assert(
      fc.property(values, given => {
        expect(unmarshal(typesIn(signature), marshal(signature, given))).toEqual(given)
      }),
    ))

  test('dbus: a message that ends too soon is an error, wherever it ends', () => {
    const whole = marshal('a{sv}s', [[['key', ['ay', Buffer.from('secret')]]], 'end'])
    for (let length = 0; length < whole.length; length++)
      expect(() => unmarshal(['a{sv}', 's'], whole.subarray(0, length))).toThrow('a message that is cut off')
  })

  test.each([
    'a',
    '(s',
    'a{sv',
    '(',
    '()',
    'a()',
    'a{}',
  ])('dbus: the signature "%s" is an error', signature => {
    expect(() => typesIn(signature)).toThrow('the signature')
  })
})

const ADDRESSES: [env: NodeJS.ProcessEnv, sockets: string[]][] = [
  [{ DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/7/bus' }, ['/run/user/7/bus']],
  [{ DBUS_SESSION_BUS_ADDRESS: 'unix:path=/tmp/a%20b,guid=00ff' }, ['/tmp/a b']],
  [{ DBUS_SESSION_BUS_ADDRESS: 'unix:path=/tmp/%c3%a9é' }, ['/tmp/éé']],
  [{ DBUS_SESSION_BUS_ADDRESS: 'unix:guid=00ff,path=/tmp/bus' }, ['/tmp/bus']],
  [{ DBUS_SESSION_BUS_ADDRESS: 'unix:abstract=/tmp/dbus-x,guid=00ff' }, ['\0/tmp/dbus-x']],
  [{ DBUS_SESSION_BUS_ADDRESS: 'tcp:host=localhost,port=1;unix:path=/tmp/bus' }, ['/tmp/bus']],
  [{ DBUS_SESSION_BUS_ADDRESS: 'unix:path=/tmp/a,guid=00;unix:abstract=b' }, ['/tmp/a', '\0b']],
  [{ DBUS_SESSION_BUS_ADDRESS: 'tcp:host=localhost,port=1' }, []],
  [{ DBUS_SESSION_BUS_ADDRESS: '', XDG_RUNTIME_DIR: '/run/user/7' }, ['/run/user/7/bus']],
  [{}, []],
]
test.each(ADDRESSES)('dbus: the session bus of %p is at %p', (env, sockets) => {
  expect(sessionBusSockets(env)).toEqual(sockets)
})

describe('a connection with a bus', () => {
  const uid = process.getuid?.() ?? 0
  const withServer = async (serve: (socket: net.Socket) => void, use: (file: string) => Promise<void>) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-bus-'))
    await using _ = await listening(net.createServer(serve), path.join(folder, 'bus'))
    await use(path.join(folder, 'bus'))
    fs.rmSync(folder, { recursive: true })
  }

  test('dbus: a bus that does not accept the user is named', () =>
    withServer(
      socket => socket.on('data', () => socket.write('REJECTED EXTERNAL\r\n')),
      async file =>
        expect(connectToBus([file], uid).call(toBus('ListNames', 'as'))).rejects.toThrow(
          'access denied by the bus',
        ),
    ))

  test('dbus: a bus that ends the connection is an error of every call', () =>
    withServer(
      socket => socket.on('data', () => socket.end()),
      async file => {
        const bus = connectToBus([file], uid)
        await expect(bus.call(toBus('ListNames', 'as'))).rejects.toThrow(
          'the connection with the bus was lost',
        )
        await expect(bus.call(toBus('ListNames', 'as'))).rejects.toThrow(
          'the connection with the bus was lost',
        )
      },
    ))

  test('dbus: a bus in another byte order is an error', () =>
    withServer(
      socket =>
        socket.on('data', () => socket.write(socket.bytesWritten ? Buffer.alloc(16, 'B') : 'OK 00ff\r\n')),
      async file =>
        expect(connectToBus([file], uid).call(toBus('ListNames', 'as'))).rejects.toThrow(
          'another byte order',
        ),
    ))

  test('dbus: a greeting in two pieces is one', () =>
    withServer(
      socket =>
        socket.once('data', () => {
          socket.write('OK 00')
          socket.once('data', () => socket.write(Buffer.alloc(16, 'B')))
          setImmediate(() => socket.write('ff\r\n'))
        }),
      async file =>
        expect(connectToBus([file], uid).call(toBus('ListNames', 'as'))).rejects.toThrow(
          'another byte order',
        ),
    ))

  secretServiceTest('dbus: an answer of other types than asked for is an error', async () => {
    await using service = await startSecretService({ keyring: false })
    const bus = connectToBus(sessionBusSockets(service.env), uid)
    await expect(bus.call(toBus('ListNames', 'aoao'))).rejects.toThrow(
      'an answer of the types "as", not "aoao"',
    )
  })

  secretServiceTest('dbus: a real bus answers, calls that it does not know included', async () => {
    await using service = await startSecretService({ keyring: false })
    const bus = connectToBus(['/nowhere', ...sessionBusSockets(service.env)], uid)
    const [names] = await bus.call(toBus('ListNames', 'as'))
    expect(names).toContain('org.freedesktop.DBus')
    await expect(bus.call(toBus('Nonsense', ''))).rejects.toThrow('does not understand message Nonsense')
  })
})
