import { describe, inject, test } from 'vitest'
import { runChild } from './harness/child.ts'
import { hasRedis } from './harness/redis-server.ts'

/** Runs `npm run bench` without npm, on the Postgres of the tests. */
async function bench(...args: string[]) {
  return await runChild('bench/main.ts', args, {
    node: ['--conditions=source', '--expose-gc'],
    env: { KEYTURN_BENCH_POSTGRES: inject('postgresUrl') },
  })
}

const ratios: Record<string, number> = {
  rotation: 2,
  'rotation-format': 2,
  script: 2,
  memory: 2,
  'memory-documents': 2,
  documents: 3,
  looking: 3,
  field: 2,
  rewrap: 1,
  latency: 2,
  adapters: 2,
  sessions: 5,
  signing: 8,
  serving: 2,
}

// Times are for `npm run bench` on a machine of its own. Here it is only seen that everything runs and says what it should.
const withRedis = await hasRedis()

// They wait more than they work: side by side they take half as long.
describe.concurrent('npm run bench', () => {
  test.for(Object.keys(ratios).filter((name) => withRedis || name !== 'sessions'))(
    '%s runs and gives ratios with their absolute numbers',
    async (name, { expect }) => {
      const { code, stdout, stderr } = await bench('--only', name, '--rows', '200', '--json')
      expect(stderr).not.toContain('Error')
      expect(code).toBe(0)
      const { node, postgres, benchmarks } = JSON.parse(stdout)
      expect(node).toBe(process.version)
      expect(postgres?.settings.shared_buffers).toEqual(['field', 'signing'].includes(name) ? undefined : expect.any(String))
      expect(benchmarks).toEqual([
        {
          name,
          about: expect.any(String),
          rows: 200,
          seconds: expect.any(Number),
          ratios: expect.any(Array),
          measured: expect.any(Object),
        },
      ])
      expect(benchmarks[0].ratios).toHaveLength(ratios[name] ?? 0)
      for (const ratio of benchmarks[0].ratios) {
        expect(ratio.value).toBeGreaterThan(0)
        expect(ratio.passes).toEqual(ratio.limit === undefined ? null : expect.any(Boolean))
      }
      for (const value of Object.values(benchmarks[0].measured)) expect(value).toBeGreaterThanOrEqual(0)
    },
  )

  test('--help names every benchmark', async ({ expect }) => {
    const { code, stdout } = await bench('--help')
    expect(code).toBe(0)
    for (const name of Object.keys(ratios)) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
  })

  test('an unknown name is refused with those that there are', async ({ expect }) => {
    const { code, stderr } = await bench('--only', 'rotatoin')
    expect(code).toBe(2)
    expect(stderr).toContain('rotation, rotation-format, script')
  })
})
