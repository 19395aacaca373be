import { expect, test } from 'vitest'
import { together } from './together.ts'

test('Many who ask at once are given one look, which began after they asked; one that fails is not kept.', async () => {
  const looks: PromiseWithResolvers<number>[] = []
  const ask = together(() => {
    const look = Promise.withResolvers<number>()
    looks.push(look)
    return look.promise
  })
  const first = ask()
  const others = [ask(), ask(), ask()]
  expect(looks).toHaveLength(1)
  looks[0]?.resolve(1)
  expect(await first).toBe(1)
  await new Promise(setImmediate)
  expect(looks).toHaveLength(2)
  looks[1]?.resolve(2)
  expect(await Promise.all(others)).toEqual([2, 2, 2])
  const failing = ask()
  const waiting = ask()
  looks[2]?.reject(new Error('no'))
  await expect(failing).rejects.toThrow('no')
  await new Promise(setImmediate)
  looks[3]?.resolve(4)
  expect(await waiting).toBe(4)
})
