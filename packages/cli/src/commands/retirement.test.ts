import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { env, keyturn, secrets, useUsers } from '../../../../test/harness/users.ts'

const { database, values, fill } = useUsers()
const SEED = '7e'.repeat(32)
secrets.add(SEED)

const config = {
  database: { env: 'DATABASE_URL' },
  refreshMs: 50,
  signing: { key: { env: 'SIGNING_KEY' } },
  keyrings: { app: { root: { env: 'ROOT_KEY' } } },
  fields: {
    'users.token': {
      column: 'users.token',
      keyring: 'app',
      bind: ['id'],
      reads: [{ codec: 'hex-colon', key: { env: 'OLD_KEY' }, keyRule: 'hex' }],
    },
  },
}
let cwd = ''
const all = () => ({ ...env, DATABASE_URL: database.url, SIGNING_KEY: SEED })
const run = (line: string, more: { env?: object; stdin?: string; isTTY?: boolean } = {}) =>
  keyturn(line.split(' '), { cwd, ...more, env: { ...all(), ...more.env } })
const json = async (line: string) => JSON.parse((await run(`${line} --json`)).stdout)
const versions = async () => (await json('status app')).keyrings[0].versions as { id: string; state: string }[]
/** The version that values stood under before the last rotation. */
const retiring = async () => (await versions()).findLast(({ state }) => state === 'retiring')?.id ?? ''
const constraints = async () =>
  (await database.pool.query(`SELECT conname FROM pg_constraint WHERE conname LIKE 'keyturn%' AND convalidated`)).rows.length
/** A new active version, and every value under it; those of the rows named are damaged before. */
async function rotateOnce(...damaged: number[]) {
  for (const id of damaged) await database.pool.query(`UPDATE users SET token = left(token, -4) || 'AAAA' WHERE id = $1`, [id])
  return run('rotate app --yes --max')
}

beforeEach(async () => {
  await fill(20)
  cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
  expect((await rotateOnce()).code).toBe(0)
  // The version that the keyring was made with, which no value stands under.
  expect((await run('retire app --yes --max')).code).toBe(0)
})

describe('retire', () => {
  test('is refused while values set aside name the key, with their number; that number accepts them, and the end is 3', async () => {
    const rotated = await rotateOnce(3, 7)
    expect([rotated.code, rotated.stderr]).toEqual([3, expect.not.stringContaining('ERR_')])
    const old = await retiring()
    const before = await values()
    const refused = await run('retire app --yes --max')
    expect([refused.code, refused.stdout, refused.stderr]).toEqual([1, '', expect.stringContaining('[ERR_SET_ASIDE]')])
    expect(refused.stderr).toContain('2 values set aside')
    expect((await run('retire app --yes --max --accept-set-aside 1')).code).toBe(1)
    expect([await values(), await retiring(), await constraints()]).toEqual([before, old, 1])
    const retired = await run('retire app --yes --max --accept-set-aside 2')
    expect([retired.code, retired.stdout]).toEqual([3, expect.stringContaining(`Key ${old} of keyring "app" is retired`)])
    expect(retired.stdout).toContain('2 values set aside under this key')
    expect([await values(), await constraints()]).toEqual([before, 2])
    await expect(database.pool.query('UPDATE users SET token = $1 WHERE id = 1', [`kt1.${old}.AAAA`])).rejects.toMatchObject({
      code: '23514',
    })
    expect((await run('verify')).code).toBe(3)
  })

  test('of everything else ends with 0, and verify with 1 once a fence is gone; retiring again puts it back', async () => {
    expect((await rotateOnce()).code).toBe(0)
    const old = await retiring()
    const { retirements } = await json(`retire app --version ${old} --yes --max`)
    expect(retirements).toMatchObject([{ versionId: old, accepted: 0, certificate: { claim: { complete: true } } }])
    expect((await run('verify')).code).toBe(0)
    const [fence] = retirements[0].fences
    await database.pool.query(`ALTER TABLE users DROP CONSTRAINT "${fence.constraint}"`)
    const missing = await run('verify')
    expect([missing.code, missing.stdout]).toEqual([1, expect.stringContaining(`public.users.token  key ${old}`)])
    expect((await run('retire app --yes --max')).code).toBe(0)
    expect([(await run('verify')).code, await constraints()]).toEqual([0, 2])
  })

  test.each([
    [' --version nosuch', 'there is no key version named "nosuch"'],
    [' --accept-set-aside many', '--accept-set-aside needs the exact number of values'],
  ])('retire app --yes%s is refused and changes nothing', async (options, sentence) => {
    const before = [await values(), await versions()]
    const { code, stdout, stderr } = await run(`retire app --yes${options}`)
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(sentence)])
    expect([await values(), await versions(), await constraints()]).toEqual([...before, 1])
  })

  test('of a keyring that is not there yet is refused and makes none; one without anything left ends with 0', async () => {
    const again = await run('retire app --yes --max')
    expect([again.code, again.stdout]).toEqual([0, 'Nothing was left to retire of keyring "app": every fence stands.\n'])
    await database.pool.query('DROP SCHEMA keyturn CASCADE')
    const { code, stderr } = await run('retire app --yes')
    expect([code, stderr]).toEqual([2, expect.stringContaining('has no key that is retiring')])
    expect((await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount).toBe(0)
  })

  test('asks at a terminal, and without an answer changes nothing', async () => {
    await rotateOnce()
    const before = await versions()
    expect((await run('retire app')).stderr).toContain('nobody can be asked here')
    const { code, stdout, stderr } = await run('retire app', { isTTY: true, stdin: 'n\n' })
    expect([code, stdout]).toEqual([2, 'Nothing was changed.\n'])
    expect(stderr).toContain(`key ${await retiring()}. The database will refuse new values under it`)
    expect([await versions(), await constraints()]).toEqual([before, 1])
  })
})

describe('destroy and unretire', () => {
  test('a key that is not retired is refused by both', async () => {
    const active = (await versions()).find(({ state }) => state === 'active')
    for (const verb of ['destroy', 'unretire']) {
      const { code, stderr } = await run(`${verb} app ${active?.id} --yes`)
      expect([code, stderr]).toEqual([2, expect.stringContaining('[ERR_KEY_STATE]')])
      expect((await run(`${verb} app nosuch --yes`)).stderr).toContain('there is no key version named "nosuch"')
    }
  })

  test('a retired key waits for its backups unless told --now, and only its typed id or --yes destroys it', async () => {
    await rotateOnce()
    const old = await retiring()
    await run('retire app --yes --max')
    const stateOf = async () => (await versions()).find(({ id }) => id === old)?.state
    expect((await run(`destroy app ${old} --yes`)).stderr).toContain('[ERR_HORIZON]')
    expect((await run(`destroy app ${old} --now`)).stderr).toContain('nobody can be asked here')
    const wrong = await run(`destroy app ${old} --now`, { isTTY: true, stdin: 'yes\n' })
    expect([wrong.code, wrong.stdout, await stateOf()]).toEqual([2, 'Nothing was changed.\n', 'retired'])
    const right = await run(`destroy app ${old} --now`, { isTTY: true, stdin: `${old}\n` })
    expect([right.code, right.stdout, await stateOf()]).toEqual([0, `Key ${old} of keyring "app" is destroyed.\n`, 'destroyed'])
    expect((await run('verify')).code).toBe(0)
  })

  test('unretire takes the fence down and lets the key be read as retiring', async () => {
    await rotateOnce()
    const old = await retiring()
    await run('retire app --yes --max')
    const { code, stdout } = await run(`unretire app ${old} --yes`)
    expect([code, stdout]).toEqual([0, expect.stringContaining(`Key ${old} of keyring "app" is retiring again`)])
    expect([await retiring(), await constraints()]).toEqual([old, 1])
  })
})

describe('evidence', () => {
  test('a certificate is listed, shown, and checked offline from the file it was printed to', async () => {
    await rotateOnce(3)
    await run('retire app --yes --max --accept-set-aside 1')
    const { certificates } = await json('certificate list')
    expect(certificates).toMatchObject([false, false, false, true, true, true].map((complete) => ({ complete })))
    const shown = await run('certificate show')
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining('Not complete: 1 value set aside.')])
    const { stdout } = await run(`certificate show ${certificates.at(-1).id.slice(0, 12)} --json`)
    await writeFile(join(cwd, 'certificate.json'), stdout)
    const publicKey = await publicKeyOf()
    await writeFile(join(cwd, 'signer.pub'), publicKey)
    const checked = await keyturn(['certificate', 'verify', 'certificate.json', '--public-key', 'signer.pub'], { cwd, env: {} })
    expect([checked.code, checked.stdout]).toEqual([0, expect.stringContaining('20 values rewritten; each kept its plaintext.')])
    expect((await run('certificate show nosuch')).stderr).toContain('there is no certificate named "nosuch"')
  })

  test('resume makes the certificate of a rotation that was completed without a signing key, once', async () => {
    const { signing: _, ...unsigned } = config
    await writeFile(join(cwd, 'unsigned.json'), JSON.stringify(unsigned))
    const { id, certificate } = await json('rotate app --yes --max --config unsigned.json')
    expect([certificate, (await run(`resume ${id} --yes --config unsigned.json`)).code]).toEqual([null, 2])
    expect((await json(`resume ${id} --yes`)).certificate.claim).toMatchObject({ kind: 'rotation', rotation: id })
    const again = await run(`resume ${id} --yes`)
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('[ERR_ROTATION_STATE]')])
  })

  test('the audit log is checked, exported, and checked again from the export, without any key', async () => {
    const bare = { env: { ROOT_KEY: undefined, OLD_KEY: undefined, SIGNING_KEY: undefined } }
    const found = await run('audit verify', bare)
    expect([found.code, found.stdout]).toEqual([
      0,
      expect.stringMatching(/^\d+ events, each follows the one before\.\nHead \d+:[0-9a-f]{64}\n/),
    ])
    const exported = await run('audit export', bare)
    expect(exported.code).toBe(0)
    const lines = exported.stdout.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).seq)).toEqual(lines.map((_, index) => index + 1))
    await writeFile(join(cwd, 'audit.jsonl'), exported.stdout)
    expect((await run('audit verify --file audit.jsonl', bare)).code).toBe(0)
    await writeFile(join(cwd, 'audit.jsonl'), exported.stdout.replace('rotation.', 'rotatiom.'))
    const changed = await run('audit verify --file audit.jsonl', bare)
    expect([changed.code, changed.stdout]).toEqual([1, expect.stringContaining('it was changed after it was written')])
  })

  test('a checkpoint is what finds a log that was cut short', async () => {
    const { stdout } = await run('audit checkpoint --json')
    const { head, signer } = JSON.parse(stdout)
    expect(signer).toMatch(/^[0-9a-f]{16}$/)
    expect((await run(`audit verify --expect ${head}`)).code).toBe(0)
    expect((await keyturn(['audit', 'verify', '--expect', stdout.trim()], { cwd, env: all() })).code).toBe(0)
    const forged = await keyturn(['audit', 'verify', '--expect', stdout.trim().replace('"at":"2', '"at":"1')], { cwd, env: all() })
    expect([forged.code, forged.stderr]).toEqual([1, expect.stringContaining('[ERR_CERTIFICATE]')])
    const wrong = await run(`audit verify --expect ${head.slice(0, -1)}${head.endsWith('0') ? '1' : '0'}`)
    expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringContaining('does not hold the expected head')])
    expect((await run('audit verify --expect nonsense')).code).toBe(2)
  })

  test('a rotation tells the signed head to whoever ran it, on standard error', async () => {
    const { stderr } = await rotateOnce()
    expect(stderr).toMatch(/^checkpoint: \{"at":.*"format":"keyturn\/checkpoint\/1".*"signature":"/m)
  })

  test('a keyring is exported under another root, and never over a keyring that is there', async () => {
    const { code, stdout } = await run('rewrap app --export keys.json --root-env OTHER_KEY')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^2 keys of keyring "app" written to \S+keys\.json, wrapped under root /)])
    expect(await readFile(join(cwd, 'keys.json'), 'utf8')).not.toContain(all().ROOT_KEY)
    expect((await run('rewrap app --export keys.json --root-env OTHER_KEY')).code).toBe(2)
    for (const [line, sentence] of [
      ['rewrap app --export keys.json', '--export FILE and --root-env NAME go together'],
      ['rewrap app --export other.json --root-env NOT_SET', 'the environment variable NOT_SET is not set'],
      ['rewrap app --export other.json --root-env OTHER_KEY --drop x', 'Give one of them'],
      ['rewrap app --export other.json --root-env ROOT_KEY', '[ERR_USAGE]'],
    ] as const)
      expect((await run(line)).stderr).toContain(sentence)
  })
})

async function publicKeyOf(): Promise<string> {
  const { signingKey } = await import('../../../core/src/signing/signing-key.ts')
  return signingKey(SEED, 'test').publicKey.pem
}
