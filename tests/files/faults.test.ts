import { expect, test } from 'bun:test'
import { AtlasError } from '../../lib/errors.ts'
import { FileFault, faultOf } from '../../lib/files/faults.ts'

const systemError = (code: string): Error => Object.assign(new Error(`${code}: prose`), { code })

test.each([
  ['EACCES', 'denied', 'permission denied', 'store_denied'],
  ['EPERM', 'denied', 'permission denied', 'store_denied'],
  ['EROFS', 'read-only', 'the file system is read-only', 'store_denied'],
  ['ENOSPC', 'full', 'the disk is full', 'store_unavailable'],
  ['EDQUOT', 'full', 'the disk quota is used up', 'store_unavailable'],
  ['ENOENT', 'missing', 'its folder does not exist', 'store_unavailable'],
  ['ENOTDIR', 'missing', 'a file is in the place of its folder', 'store_unavailable'],
  ['EISDIR', 'occupied', 'a folder is in its place', 'store_denied'],
  ['ELOOP', 'loop', 'its symbolic links lead in a circle', 'store_denied'],
  ['SQLITE_FULL', 'full', 'the disk is full', 'store_unavailable'],
  ['EIO', 'other', 'EIO', 'store_unavailable'],
])('faults: %s is %s, "%s"', (code, kind, reason, storeCode) => {
  const fault = faultOf(systemError(code), '/place')
  expect({ ...fault, storeCode: fault?.storeCode } as unknown).toMatchObject({
    kind,
    reason,
    place: '/place',
    storeCode,
  })
})

test('faults: an error that does not come from a file is not one', () => {
  for (const error of [new Error('prose'), new AtlasError('file_error', 'told already'), undefined])
    expect(faultOf(error)).toBeUndefined()
})

test('faults: one keeps the place that it is about', () => {
  const fault = new FileFault('full', 'the disk is full', '/first')
  expect(faultOf(fault, '/second')).toBe(fault)
})
