import { beforeAll, expect, test } from 'bun:test'
import fs from 'node:fs'
import manifest from '../../package.json' with { type: 'json' }
import { signAdHoc, verifyCodeSignature } from '../../release/code-signature.ts'
import { readExecutable } from '../../release/executables.ts'
import { inspect } from '../../release/inspect.ts'
import { hostTarget, TARGETS, type Target } from '../../release/targets.ts'
import { BINARY } from '../support/binary.ts'

const host = hostTarget()
let addon: Uint8Array
let binary: Buffer

beforeAll(() => {
  addon = fs.readFileSync(`node_modules/${host.addon.package}/${host.addon.file}`)
  binary = fs.readFileSync(BINARY)
})

function refusal(program: Buffer, target: Target = host, version = manifest.version): string {
  try {
    return `accepted: ${inspect(program, target, addon, version)}`
  } catch (error) {
    return String(error)
  }
}

test('the program for this machine is what its target needs', () => {
  expect(inspect(binary, host, addon, manifest.version)).toContain(host.addon.file)
})

test('a program for one machine is refused for every other', () => {
  const accepted = TARGETS.filter(target => !refusal(binary, target).startsWith('Error'))
  expect(accepted.map(({ name }) => name)).toEqual([host.name])
})

test('a program of another version, without its addon, or with a second one is refused', () => {
  const changed = (change: (copy: Buffer) => void): Buffer => {
    const copy = Buffer.from(binary)
    change(copy)
    return copy
  }
  const at = binary.indexOf(addon)
  const name =
    /keyring\.[a-z0-9-]+\.node/.exec(binary.toString('latin1', binary.lastIndexOf('keyring.')))?.[0] ?? ''
  expect([
    refusal(binary, host, '99.0.0'),
    refusal(changed(copy => copy.fill(0, at, at + 64))),
    refusal(
      changed(copy => copy.write('keyring.freebsd-x64.node'.slice(0, name.length), binary.lastIndexOf(name))),
    ),
    refusal(Buffer.concat([binary.subarray(0, at), addon, binary.subarray(at)])),
  ]).toEqual([
    'Error: it does not hold the version 99.0.0',
    `Error: it does not hold ${host.addon.file} of ${host.addon.package}`,
    'Error: it names other addons: keyring.freebsd-x64.node',
    'Error: it holds its addon twice',
  ])
})

test('a program that would read .env or bunfig.toml where it is started is refused', () => {
  const switches = binary.lastIndexOf('\n---- Bun! ----\n') - 4
  for (const bit of [1, 2, 4, 8]) {
    const copy = Buffer.from(binary)
    copy.writeUInt32LE(copy.readUInt32LE(switches) & ~bit, switches)
    expect(refusal(copy)).toBe('Error: it would load .env or bunfig.toml from the current directory')
  }
})

test('executables are told apart by their headers', () => {
  const elf = Buffer.alloc(200)
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1])
  elf.writeUInt16LE(183, 18)
  elf.writeBigUInt64LE(64n, 32)
  elf.set([56, 0, 1, 0], 54)
  elf.writeUInt32LE(3, 64)
  elf.writeBigUInt64LE(120n, 72)
  elf.writeBigUInt64LE(8n, 96)
  elf.write('/loader\0', 120)
  const pe = Buffer.alloc(300)
  pe.write('MZ')
  pe.writeUInt32LE(128, 0x3c)
  pe.write('PE\0\0', 128, 'latin1')
  pe.writeUInt16LE(0xaa64, 132)
  pe.writeUInt16LE(3, 128 + 24 + 68)
  const machO = Buffer.alloc(64)
  machO.writeUInt32LE(0xfeedfacf, 0)
  machO.writeUInt32LE(0x01000007, 4)
  machO.writeUInt32LE(2, 12)
  expect([elf, pe, machO].map(readExecutable)).toEqual([
    { format: 'ELF', arch: 'arm64', interpreter: '/loader' },
    { format: 'PE', arch: 'arm64', interpreter: undefined },
    { format: 'Mach-O', arch: 'x64', interpreter: undefined },
  ])
  expect(() => readExecutable(Buffer.from('#!/bin/sh'))).toThrow('no 64-bit ELF, Mach-O or PE executable')
  expect(() => readExecutable(elf.subarray(0, 40))).toThrow('cut short')
})

/** A Mach-O executable as small as can be: two segments and an outdated signature. */
function tinyMachO(): Buffer {
  const bytes = Buffer.alloc(12_320)
  bytes.writeUInt32LE(0xfeedfacf, 0)
  bytes.writeUInt32LE(3, 16)
  const segment = (at: number, name: string, fileOffset: number, fileBytes: number) => {
    bytes.writeUInt32LE(0x19, at)
    bytes.writeUInt32LE(72, at + 4)
    bytes.write(name, at + 8)
    bytes.writeBigUInt64LE(BigInt(fileOffset), at + 40)
    bytes.writeBigUInt64LE(BigInt(fileBytes), at + 48)
  }
  segment(32, '__TEXT', 0, 8192)
  segment(104, '__LINKEDIT', 8192, bytes.length - 8192)
  bytes.writeUInt32LE(0x1d, 176)
  bytes.writeUInt32LE(16, 180)
  bytes.writeUInt32LE(12_304, 184)
  bytes.writeUInt32LE(16, 188)
  bytes.fill(7, 300, 9000)
  return bytes
}

test('a signature made ad hoc holds for the program, and for no changed one', () => {
  const signed = signAdHoc(tinyMachO(), 'atlas-cli')
  expect(verifyCodeSignature(signed)).toEqual({ adhoc: true, pages: 4 })
  expect(() => verifyCodeSignature(tinyMachO())).toThrow('its signature is malformed')
  const changed = Buffer.from(signed)
  changed.writeUInt8(8, 8999)
  expect(() => verifyCodeSignature(changed)).toThrow('page 2 of 4 does not match its signature')
  expect(signAdHoc(signed, 'atlas-cli')).toEqual(signed)
})
