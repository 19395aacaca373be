import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../harness/child.ts'
import { rules } from './rules.ts'
import { readSources, type SourceFile } from './source.ts'

const sources = readSources()
const file = (path: string, text = ''): SourceFile => ({ path, text })
const imports = (from: string, ...to: string[]) => file(from, to.map((path) => `import x from '${path}'\n`).join(''))
const src = 'packages/core/src'

/** For each rule, files that break it. */
const broken: Record<keyof typeof rules, SourceFile[][]> = {
  'a concept does not import a driver': [
    [imports(`${src}/keyring/keyring.ts`, '../codecs/kt1.ts')],
    [file(`${src}/rotation/run.ts`, "import type { A } from '../databases/postgres/sql.ts'\n")],
    [file(`${src}/field/field.ts`, "const a = await import('../codecs/kt1.ts')\n")],
  ],
  'drivers of different kinds do not import each other': [[imports(`${src}/keyring-stores/postgres.ts`, '../databases/postgres/sql.ts')]],
  'a driver imports at most one shared family folder, and no other driver': [
    [imports(`${src}/codecs/blob.ts`, './hex-colon.ts')],
    [imports(`${src}/codecs/blob.ts`, './aes-gcm/open.ts', './fernet/open.ts')],
    [imports(`${src}/codecs/aes-gcm/open.ts`, '../blob.ts')],
  ],
  'core imports only node: and itself, and optional peers where they are adapted': [
    [imports(`${src}/databases/postgres.ts`, 'pg')],
    [imports(`${src}/key-wrappers/other.ts`, 'not-a-peer')],
    [imports(`${src}/keyring/keyring.ts`, '@aws-sdk/client-kms')],
    [imports(`${src}/index.ts`, '../../../test/harness/counts.ts')],
    [file(`${src}/index.ts`, "export {\n  a,\n  b,\n} from 'zod'\n")],
  ],
  'a package imports only the floors below it, by their exports': [
    [imports(`${src}/index.ts`, 'keyturn')],
    [imports('packages/cli/src/main.ts', '../../core/src/index.ts')],
    [imports('packages/secrets/src/index.ts', '@keyturn/server')],
    [imports('packages/elsewhere/src/index.ts', 'node:fs')],
  ],
  'no concept needs, by way of others, itself': [
    [
      imports(`${src}/keyring/a.ts`, '../field/b.ts'),
      imports(`${src}/field/b.ts`, '../state/c.ts'),
      imports(`${src}/state/c.ts`, '../keyring/a.ts'),
    ],
  ],
  'no file is longer than 400 lines': [[file(`${src}/long.ts`, 'x\n'.repeat(401))]],
  'names say what a thing is: no utils, helpers, manager or service': [
    [file(`${src}/helpers/a.ts`)],
    [file(`${src}/key-utils.ts`)],
    [file('test/service/a.ts')],
  ],
  'every driver has its test beside it': [[file(`${src}/codecs/new.ts`)]],
}

describe.each(Object.entries(rules))('%s', (name, rule) => {
  test('the house keeps the rule.', () => {
    expect(rule(sources)).toEqual([])
  })

  test('a file that breaks the rule is found.', () => {
    const cases = broken[name as keyof typeof rules]
    expect(cases.map((files) => rule(files).length > 0)).toEqual(cases.map(() => true))
  })
})

test('the files of the house are read.', () => {
  expect(sources.map(({ path }) => path)).toContain('packages/core/src/errors.ts')
})

test('core has no run-time dependency.', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'packages/core/package.json'), 'utf8'))
  expect(dependencies).toEqual({})
})
