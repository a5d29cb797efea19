import { expect, test } from 'bun:test'
import { AtlasError } from '../../lib/errors.ts'
import { FileFault, faultOf } from '../../lib/files/faults.ts'

const systemError = (code: string): Error => Object.assign(new Error(`${code}: prose`), { code })

test.each([
  ['EACCES', 'denied', 'permission denied', 'store_denied'],
  ['EPERM', 'denied', 'permission denied', 'store_denied'],
  ['EROFS', 'denied', 'the file system is read-only', 'store_denied'],
  ['ENOSPC', 'full', 'the disk is full', 'store_unavailable'],
  ['EDQUOT', 'full', 'the disk quota is used up', 'store_unavailable'],
  ['ENOENT', 'missing', 'its folder does not exist', 'store_unavailable'],
  ['ENOTDIR', 'missing', 'a file is in the place of its folder', 'store_unavailable'],
  ['EISDIR', 'unfit', 'a folder is in its place', 'store_denied'],
  ['ELOOP', 'unfit', 'its symbolic links lead in a circle', 'store_denied'],
  ['SQLITE_FULL', 'full', 'the disk is full', 'store_unavailable'],
  ['EIO', 'other', 'EIO', 'store_unavailable'],
])('faults: %s is %s, "%s"', (code, kind, reason, storeCode) => {
  const { message, ...fault } = faultOf(systemError(code), '/place') as FileFault
  expect({ ...fault, message, storeCode: faultOf(systemError(code))?.storeCode } as unknown).toEqual({
    kind,
    message: reason,
    place: '/place',
    fix: undefined,
    storeCode,
  })
})

test('faults: an error that is made of one names the next step', () => {
  const told = (fault: FileFault) => {
    const { code, message, hint } = fault.toError('file_error', '/place cannot be used', '--dir')
    return [code, message, hint]
  }
  expect(told(new FileFault('full', 'the disk is full'))).toEqual([
    'file_error',
    '/place cannot be used: the disk is full.',
    'Make room, or choose another folder with --dir.',
  ])
  expect(told(new FileFault('exposed', 'others can read it', '/place', 'chmod 600 /place'))).toEqual([
    'file_error',
    '/place cannot be used: others can read it.',
    'If that was not meant, fix it with: chmod 600 /place',
  ])
})

test('faults: a clean-up that fails too does not hide what failed first', () => {
  const both = new SuppressedError(systemError('EROFS'), systemError('ENOSPC'))
  expect(faultOf(both)?.message).toBe('the disk is full')
})

test('faults: an error that does not come from a file is not one', () => {
  for (const error of [new Error('prose'), new AtlasError('file_error', 'told already'), undefined])
    expect(faultOf(error)).toBeUndefined()
})

test('faults: one keeps the place that it is about', () => {
  const fault = new FileFault('full', 'the disk is full', '/first')
  expect(faultOf(fault, '/second')).toBe(fault)
})
