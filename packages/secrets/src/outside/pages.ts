import { outside } from './failure.ts'

/** A piece of a list, as OpenAI and Anthropic give it. */
export interface Page<T> {
  readonly data: readonly T[]
  readonly has_more: boolean
  readonly last_id?: string | null | undefined
}

/**
 * A whole list. What is missing in one would be taken for gone, or for nobody's.
 *
 * @param read - asks for the piece behind this id; from the beginning for the empty string
 * @throws uncertain where there is more and no way to ask for it
 */
export async function wholeList<T>(where: string, read: (after: string) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = []
  const seen = new Set([''])
  for (let after = ''; ; ) {
    const { data, has_more, last_id } = await read(after)
    items.push(...data)
    if (!has_more) return items
    after = last_id ?? ''
    if (seen.has(after)) throw outside('uncertain', where, 'its list goes on, and it does not say where')
    seen.add(after)
  }
}
