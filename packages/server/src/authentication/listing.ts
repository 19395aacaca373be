import { fold } from './password.ts'

/** One page of a list that is sorted by names, and where the next one begins. */
export async function pageByName<T extends { readonly name: string }>(
  { limit, after = '' }: { readonly limit: number; readonly after?: string | undefined },
  list: (after: string, limit: number) => Promise<readonly T[]>,
): Promise<{ readonly items: readonly T[]; readonly next: string | null }> {
  // One more than is shown says whether there are more. What is no place of ours is one all the same: before, between or behind names.
  const found = await list(Buffer.from(after, 'base64url').toString('utf8').replaceAll('\0', ''), limit + 1)
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, next: found.length > limit && last !== undefined ? Buffer.from(fold(last.name)).toString('base64url') : null }
}
