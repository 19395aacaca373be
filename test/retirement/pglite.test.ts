import { expect, test } from 'vitest'
import { open } from '../../packages/core/src/open.ts'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { usePglite } from '../harness/pglite.ts'
import { everyKind, fast, fill, keys, things } from './world.ts'

const pglite = usePglite()

test('an embedded database retires and destroys keys as a server does', async () => {
  await pglite().exec(things)
  const keyturn = await open(everyKind, { pglite: pglite(), env: keys })
  await fill(keyturn, { query: (text, values) => pglite().query(text, values) }, 3)
  const { rows } = await pglite().query<{ token: string }>('SELECT token FROM things WHERE id = 1')
  await keyturn.rotate('app', fast)
  const [retirement] = await keyturn.retire('app', fast)
  expect(retirement?.fences.map(({ validated }) => validated)).toEqual(Array.from({ length: 7 }, () => true))
  expect(retirement?.position).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
  const id = retirement?.versionId ?? ''
  expect(await pglite().query('UPDATE things SET token = $1', [rows[0]?.token]).catch(isFenced)).toBe(id)
  await keyturn.unretire('app', id)
  await pglite().query('UPDATE things SET token = $1 WHERE id = 1', [rows[0]?.token])
  await keyturn.retire('app', fast)
  await keyturn.destroy('app', id, { now: true })
  expect(await keyturn.verify()).toMatchObject({ total: 18, current: 18, fences: { missing: [] } })
  await keyturn.close()
})
