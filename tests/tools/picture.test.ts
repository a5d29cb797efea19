import { expect } from 'bun:test'
import fs from 'node:fs'
import { makePicture, PICTURE } from '../../tools/picture.ts'
import { secretServiceTest } from '../support/needs.ts'

secretServiceTest(
  'the picture in the README shows what atlas prints; npm run picture draws it anew',
  async () => {
    expect(await makePicture()).toBe(fs.readFileSync(PICTURE, 'utf8'))
  },
)
