import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { KeyWrapper } from '../../packages/core/src/keyring/key-wrapper.ts'

/** Ways to the same root key and to another one. */
export interface WrapperUnderTest {
  /** A wrapper of the one root key; each call is another process's. */
  same(): KeyWrapper
  /** A wrapper of another root key. */
  other(): KeyWrapper
  /** What must never be printed. */
  readonly secrets: readonly string[]
}

const data = Buffer.from('keyturn/wrapping\0 of the test')

/** What every key wrapper keeps. One call in the test of each wrapper. */
export function conformsToKeyWrapper(name: string, { same, other, secrets }: WrapperUnderTest): void {
  describe(`${name} wraps keys`, () => {
    test('what it wraps opens in every process that has the root key', async () => {
      const key = randomBytes(32)
      const given = Buffer.from(key)
      const wrapped = await same().wrap(key, data)
      expect(Buffer.from(await same().unwrap(wrapped, data))).toEqual(given)
      expect(key, 'the key that was given is the caller’s').toEqual(given)
    })

    test('the same key is wrapped otherwise each time, and is in none of them', async () => {
      const key = randomBytes(32)
      const wrapper = same()
      const [one, two] = [await wrapper.wrap(key, data), await wrapper.wrap(key, data)]
      expect(Buffer.compare(one, two)).not.toBe(0)
      for (const each of [one, two]) expect(Buffer.from(each).includes(key)).toBe(false)
    })

    test('the root id is the same in every process, another one for another root, and plain text', () => {
      expect(same().rootId).toBe(same().rootId)
      expect(other().rootId).not.toBe(same().rootId)
      expect(same().rootId).toMatch(/^[a-z0-9-]+:[A-Za-z0-9-]+$/)
    })

    test('other associated data, another root, every cut and every changed byte are ERR_DECRYPT', async () => {
      const wrapper = same()
      const wrapped = await wrapper.wrap(randomBytes(32), data)
      const attempts: Promise<unknown>[] = [
        wrapper.unwrap(wrapped, Buffer.from('other')),
        wrapper.unwrap(wrapped, Buffer.alloc(0)),
        other().unwrap(wrapped, data),
        wrapper.unwrap(Buffer.concat([wrapped, Buffer.of(0)]), data),
      ]
      for (let at = 0; at < wrapped.length; at++) {
        attempts.push(wrapper.unwrap(wrapped.subarray(0, at), data))
        const changed = Uint8Array.from(wrapped)
        changed[at] = (changed[at] ?? 0) ^ 1
        attempts.push(wrapper.unwrap(changed, data))
      }
      const results = await Promise.allSettled(attempts)
      expect(results.filter(({ status }) => status === 'fulfilled')).toEqual([])
      for (const result of results) expect(result).toMatchObject({ reason: { code: 'ERR_DECRYPT', message: 'the value does not open' } })
    })

    test('it prints nothing of the root key', async () => {
      const wrapper = same()
      await wrapper.wrap(randomBytes(32), data)
      const printed = inspect(wrapper, { depth: null, showHidden: true }) + JSON.stringify(wrapper)
      for (const secret of secrets) expect(printed).not.toContain(secret)
    })
  })
}
