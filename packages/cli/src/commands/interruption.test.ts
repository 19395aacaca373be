import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startChild } from '../../../../test/harness/child.ts'
import { createFolder } from '../../../../test/harness/command.ts'
import { env, keep, keyturn, NEW, useUsers } from '../../../../test/harness/users.ts'

const { database, where, fill, opened } = useUsers()

test('the first Ctrl-C finishes the batch and ends with 4, and resume goes on', async () => {
  await fill(400)
  await keyturn(['init', '--database', database.url], { cwd: await createFolder() })
  let pressed = 0
  const stopped = await keyturn(['rotate', ...where(), '--yes', '--rate', '100'], {
    watch: (stderr, interrupt) => {
      if (stderr.includes('rewriting: ') && pressed === 0) {
        pressed += 1
        interrupt()
      }
    },
  })
  expect([stopped.code, pressed]).toEqual([4, 1])
  expect(stopped.stderr).toContain('finishing the batch, then pausing. Once more ends at once')
  expect(stopped.stdout).toMatch(/To go on:\n {2}keyturn resume \S+ --database … --field users\.token /)
  expect((await opened(NEW).catch(() => [false])).every(Boolean)).toBe(false)
  const status = await keyturn(['status', ...where()])
  expect([status.code, status.stdout]).toEqual([0, expect.stringMatching(/online {2}paused/)])
  const running = await keyturn(['rotate', ...where(), '--yes'])
  expect([running.code, running.stderr]).toEqual([2, expect.stringContaining('[ERR_ROTATION_RUNNING]')])
  const resumed = await keyturn(['resume', ...where(), '--yes', '--max'])
  expect([resumed.code, resumed.stdout]).toEqual([0, expect.stringContaining('completed')])
  expect(new Set(await opened(NEW))).toEqual(new Set([true]))
  expect((await keyturn(['resume', ...where(), '--yes'])).stderr).toContain('there is no unfinished rotation')
})

test('pause from another process ends the rotation with 4, and resume goes on', async () => {
  await fill(400)
  expect((await keyturn(['pause', '--database', database.url])).stderr).toContain('there is no unfinished rotation')
  let asked: ReturnType<typeof keyturn> | undefined
  const stopped = await keyturn(['rotate', ...where(), '--yes', '--rate', '100'], {
    watch: (stderr) => {
      if (stderr.includes('rewriting: ')) asked ??= keyturn(['pause', '--database', database.url], { env: {} })
    },
  })
  const pause = await asked
  expect([stopped.code, stopped.stdout]).toEqual([4, expect.stringMatching(/^Rotation \S+: paused; /m)])
  expect([pause?.code, pause?.stdout]).toEqual([
    0,
    expect.stringMatching(/was asked to pause at its next batch\. "keyturn resume" goes on\.\n$/),
  ])
  expect((await keyturn(['resume', ...where(), '--yes', '--max'])).code).toBe(0)
  expect(new Set(await opened(NEW))).toEqual(new Set([true]))
})

test('a second Ctrl-C ends at once', async () => {
  await fill(50)
  const { stderr } = await keyturn(['rotate', ...where(), '--yes'], {
    watch: (written, interrupt) => {
      if (/rewriting: .*\n$/.test(written) && !written.includes('finishing')) for (let n = 0; n < 2; n++) interrupt()
    },
  })
  expect(stderr).toMatch(/finishing the batch[\s\S]*ended at once with 130/)
})

test('SIGINT to the process itself pauses it with 4', async () => {
  await fill(2000)
  const child = startChild('packages/cli/bin/keyturn.js', ['rotate', ...where(), '--yes', '--rate', '200', '--json'], { node: [], env })
  while (!child.stderr.includes('rewriting: ')) await setTimeout(20)
  const { code, stdout, stderr } = await child.kill('SIGINT')
  keep(stdout + stderr)
  expect([code, JSON.parse(stdout)]).toEqual([4, expect.objectContaining({ state: 'paused' })])
})
