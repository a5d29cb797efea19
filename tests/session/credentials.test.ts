import { describe, expect, test } from 'bun:test'
import { signToken } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { stage } from '../support/stage.ts'

describe('ATLAS_ACCESS_TOKEN', () => {
  test('ATLAS_ACCESS_TOKEN: beats the store, is sent as it is and is never refreshed', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const env = { ATLAS_ACCESS_TOKEN: 'ready-made', ATLAS_API_URL: server.apiRoot }
    const outcome = await atlas.run(['api', '/auth/me'], { env })
    expect(outcome).toEqual({
      status: 4,
      stdout: '{"detail":"Could not validate credentials"}',
      stderr:
        'atlas: GET /api/v1/auth/me answered 401 Unauthorized: Could not validate credentials.\n' +
        '       Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.\n',
    })
    expect(server.requests.map(({ headers }) => headers['authorization'])).toEqual(['Bearer ready-made'])
  })

  test('ATLAS_ACCESS_TOKEN: needs no keychain', async () => {
    using sandbox = createSandbox({})
    const soon = signToken({ sub: 'ada' }, 60)
    const { status, stdout } = await sandbox.run(['auth', 'token', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: soon },
    })
    const told = JSON.parse(stdout)
    expect({ status, told }).toEqual({
      status: 0,
      told: { access_token: soon, expires_at: new Date(told.expires_at).toISOString(), source: 'env' },
    })
  })

  test('ATLAS_ACCESS_TOKEN: status shows it with the server’s answer', async () => {
    await using atlas = await stage({ store: 'unset' })
    const { status, stdout } = await atlas.run(['auth', 'status', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: 'nonsense', ATLAS_API_URL: atlas.server.apiRoot },
    })
    expect({ status, ...JSON.parse(stdout) }).toMatchObject({
      status: 4,
      state: 'rejected',
      source: 'env',
      email: null,
    })
  })

  const COMMANDS = [['auth', 'status'], ['api', '/auth/me'], ['sync'], ['status']]

  test('ATLAS_ACCESS_TOKEN: works with a bare origin, whose API is found without the token', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const env = { ATLAS_ACCESS_TOKEN: server.lastTokens.access, ATLAS_CONFIG_DIR: `${atlas.home}/empty` }
    for (const args of COMMANDS) {
      server.forget()
      const { status } = await atlas.run(args, { env: { ...env, ATLAS_API_URL: server.url } })
      const asked = server.requests.map(({ method, path, headers }) => [
        method,
        path,
        'authorization' in headers,
      ])
      expect({ args, status, asked }).toEqual({
        args,
        status: 0,
        asked: [
          ['GET', '/api/v1/auth/me', false],
          ['GET', expect.any(String), true],
        ],
      })
    }
  })

  test.each([
    ['the URL was given with the path of the API', '/api/v1', 'empty'],
    ['a login has found the API', '', ''],
  ])('ATLAS_ACCESS_TOKEN: nothing is searched for where %s', async (_, apiPath, folder) => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const env = {
      ATLAS_ACCESS_TOKEN: server.lastTokens.access,
      ATLAS_API_URL: server.url + apiPath,
      ...(folder && { ATLAS_CONFIG_DIR: `${atlas.home}/${folder}` }),
    }
    for (const args of COMMANDS) expect((await atlas.run(args, { env })).status).toBe(0)
    const { log } = server
    expect(log()).toEqual(
      ['auth/me', 'auth/me', 'configuration/me', 'configuration/me'].map(path => `GET /api/v1/${path}`),
    )
  })

  test('ATLAS_ACCESS_TOKEN: goes nowhere without an API, and the error names both places', async () => {
    await using atlas = await stage({ store: 'unset', apiPath: '/elsewhere' })
    const { server } = atlas
    const env = { ATLAS_ACCESS_TOKEN: 'ready-made', ATLAS_API_URL: server.url }
    const message = `No Atlas API was found at ${server.url}: ${server.url}/api/v1/auth/me answered 200 with a web page; ${server.url}/auth/me answered 200 with a web page.`
    for (const args of [['api', '/auth/me'], ['sync'], ['status']]) {
      const { status, stdout, stderr } = await atlas.run([...args, '--json'], { env })
      expect({ args, status, isSaid: (stdout + stderr).includes(message) }).toEqual({
        args,
        status: 5,
        isSaid: true,
      })
    }
    const { status, stdout } = await atlas.run(['auth', 'status', '--json'], { env })
    expect({ status, ...JSON.parse(stdout) }).toMatchObject({
      status: 5,
      state: 'unverified',
      reason: message,
    })
    expect(server.requests.filter(({ headers }) => 'authorization' in headers)).toEqual([])
  })

  test('ATLAS_ACCESS_TOKEN: every command that fails with an expired one says when it expired', async () => {
    await using atlas = await stage({ store: 'unset' })
    const env = { ATLAS_ACCESS_TOKEN: signToken({ sub: 'ada' }, -7200), ATLAS_API_URL: atlas.server.url }
    for (const args of COMMANDS) {
      const { status, stdout, stderr } = await atlas.run(args, { env })
      expect({
        args,
        status,
        said: /ATLAS_ACCESS_TOKEN expired .* \(2 hours ago\)/.test(stdout + stderr),
      }).toEqual({
        args,
        status: 4,
        said: true,
      })
    }
    const told = JSON.parse((await atlas.run(['doctor', '--json'], { env })).stdout)
    expect(told.checks.find(({ name }: { name: string }) => name === 'credentials')).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('ATLAS_ACCESS_TOKEN expired'),
    })
  })

  test('ATLAS_ACCESS_TOKEN: an expired one is named where a token of some life is asked for', async () => {
    using sandbox = createSandbox({})
    const env = { ATLAS_ACCESS_TOKEN: signToken({}, -7200) }
    const { status, stderr } = await sandbox.run(['auth', 'token', '--min-ttl', '10m'], { env })
    expect({ status, lines: stderr.replace(/\d.*\(/, 'THEN (').split('\n') }).toEqual({
      status: 1,
      lines: [
        'atlas: ATLAS_ACCESS_TOKEN expired THEN (2 hours ago).',
        '       Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.',
        '',
      ],
    })
  })

  test.each([
    ['\u200babc', 'contains an invisible character'],
    ['abc\n', 'begins or ends with a blank or a line break'],
    ['Bearer abc', 'begins with the name of a header or scheme, which atlas adds itself'],
    ['bearer', 'begins with the name of a header or scheme, which atlas adds itself'],
    ['Authorization: Bearer abc', 'begins with the name of a header or scheme, which atlas adds itself'],
    ['"abc"', 'has quotes around it'],
    ["'abc'", 'has quotes around it'],
    ['“abc”', 'has quotes around it'],
  ])('ATLAS_ACCESS_TOKEN: %j is named as the mistake', async (token, mistake) => {
    using sandbox = createSandbox({})
    expect(await sandbox.run(['auth', 'token'], { env: { ATLAS_ACCESS_TOKEN: token } })).toEqual({
      status: 2,
      stdout: '',
      stderr: `atlas: ATLAS_ACCESS_TOKEN is not a valid token: it ${mistake}.\n       Set it to the token alone.\n`,
    })
  })
})
