import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSources } from '../architecture/source.ts'
import { root, runChild } from '../harness/child.ts'
import { generatePrisma } from '../harness/generate-prisma.ts'
import { usePglite } from '../harness/pglite.ts'
import { createDatabase, useDatabase } from '../harness/postgres.ts'
import { config, createApplication, environment } from './application.ts'
import { consoleSteps, looksLike } from './console.ts'
import { readDocuments } from './documents.ts'
import { declares, defaultName, docstringExamples, documentBlocks, exportedNames, withChecks } from './example.ts'
import { setScope } from './scope.ts'

// Examples are written into a folder of the repository, so that they find its packages.
const folder = join(root, 'test', 'documentation', 'dist')

const docstrings = readSources()
  .filter(({ path }) => /^packages\/[^/]+\/src\//.test(path) && !path.endsWith('.test.ts'))
  .flatMap(({ path, text }) =>
    docstringExamples(text).map((code, index) => {
      const wanted = (name: string) => new RegExp(`\\b${name}\\b`).test(code) && !declares(code, name)
      const own = defaultName(text)
      const names = [...exportedNames(text).filter(wanted), ...(own !== undefined && wanted(own) ? [`default as ${own}`] : [])]
      const given = ['pool', 'pglite', 'config'].filter(wanted)
      return {
        title: `${path}, example ${index + 1}`,
        file: join(folder, path.replaceAll('/', '-').replace(/\.ts$/, `-${index}.ts`)),
        code: withHead(code, [
          ...(names.length > 0 ? [`import { ${names.join(', ')} } from '${join(root, path)}'`] : []),
          ...(given.length > 0 ? [`const { ${given.join(', ')} } = scope()`] : []),
        ]),
      }
    }),
  )

const blocks = [...readDocuments()].flatMap(([document, text]) =>
  documentBlocks(text)
    .filter(({ language }) => ['ts', 'js', 'typescript', 'javascript'].includes(language))
    .map(({ code, example }, index) => {
      const [how = '', name = `block-${index}.ts`] = (example ?? '').split(' ')
      return { title: `${document}, block ${index + 1}`, how, code, file: join(folder, document.replaceAll('/', '-'), name) }
    }),
)
const runnable = blocks
  .filter(({ how }) => how === 'run')
  .map((block) => {
    const given = /\bpool\b/.test(block.code) && !/const pool\b/.test(block.code) ? ['const { pool } = scope()'] : []
    return { ...block, code: withHead(block.code, given) }
  })
const files = blocks.filter(({ how }) => how === 'file' || how === 'types')

function withHead(code: string, lines: readonly string[]): string {
  const head = [
    `import { claims } from '${join(root, 'test/documentation/claims.ts')}'`,
    `import { scope } from '${join(root, 'test/documentation/scope.ts')}'`,
    ...lines,
  ]
  return `${head.join('\n')}\nvoid claims\nvoid scope\n${withChecks(code)}\nexport {}\n`
}

const database = useDatabase()
const pglite = usePglite()

beforeAll(async () => {
  await createApplication(database.pool)
  rmSync(folder, { recursive: true, force: true })
  for (const { file, code } of [...docstrings, ...runnable, ...files]) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, code)
  }
  for (const [document, text] of readDocuments())
    for (const { language, code } of documentBlocks(text))
      if (language === 'prisma') generatePrisma(code, join(folder, document.replaceAll('/', '-')))
  Object.assign(process.env, environment, { DATABASE_URL: database.url })
  setScope({ pool: database.pool, pglite: pglite(), config })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('docstrings', () => {
  test.each(docstrings)('$title runs.', async ({ file }) => {
    await import(file)
  })
})

describe('documents', () => {
  test('every block of code says how it is checked.', () => {
    expect(blocks.filter(({ how }) => !['run', 'file', 'types'].includes(how)).map(({ title }) => title)).toEqual([])
  })

  test.each(runnable)('$title runs.', async ({ file }) => {
    await import(file)
  })
})

const consoles = [...readDocuments()].flatMap(([document, text]) =>
  documentBlocks(text)
    .filter(({ example }) => example === 'console')
    .map(({ code }, index) => ({
      title: `${document}, console ${index + 1}`,
      steps: consoleSteps(code),
      cwd: join(folder, document.replaceAll('/', '-')),
    })),
)

// A rotation waits until readers have had its new key: side by side they wait together.
describe.concurrent('consoles', { timeout: 300_000 }, () => {
  test.for(consoles)('$title prints what it says.', async ({ steps, cwd }, { expect }) => {
    const own = await createDatabase()
    try {
      await createApplication(own.pool)
      mkdirSync(cwd, { recursive: true })
      for (const { command, output } of steps) {
        const [program, ...args] = command.split(/ +/)
        expect({ program, says: output !== '' }).toEqual({ program: 'keyturn', says: true })
        const { stdout, stderr } = await runChild('packages/cli/bin/keyturn.js', args, { cwd, node: [], env: { DATABASE_URL: own.url } })
        if (!looksLike(stdout, output)) expect(`$ ${command}\n${stdout}${stderr}`).toBe(`$ ${command}\n${output}`)
      }
    } finally {
      await own.drop()
    }
  })
})

test('the examples have the right types.', async () => {
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../../tsconfig.json', include: ['**/*.ts'], exclude: [] }))
  const { stdout, stderr } = await runChild('node_modules/typescript/bin/tsc', ['-p', folder], { node: [] })
  // Errors in the sources themselves are for "npm run types" to report.
  const ours = stdout
    .split('\n')
    .filter((line) => !/^(\.\.\/)*(packages|bench|test\/(?!documentation\/dist))/.test(line) && line.trim() !== '')
  expect({ stderr, ours }).toEqual({ stderr: '', ours: [] })
})
