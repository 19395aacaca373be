import { wrongInput } from './problem.ts'

/**
 * Refuses U+0000, wherever it stands in what was sent: Postgres holds none in a text, and would fail on it in the middle of the work.
 *
 * @param sent - parameters, query and body
 * @throws `ERR_INPUT` with a pointer to it
 */
export function refuseNul(...sent: readonly unknown[]): void {
  // A list and not recursion: a body may be nested as deep as it is long.
  const left = sent.map((value) => ({ pointer: '', value }))
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { pointer, value } = next
    if (typeof value === 'string' && value.includes('\0')) throw wrongInput(pointer, 'it holds U+0000')
    if (typeof value !== 'object' || value === null) continue
    for (const [name, member] of Object.entries(value)) {
      if (name.includes('\0')) throw wrongInput(pointer, 'it has a member whose name holds U+0000')
      left.push({ pointer: pointer.length > 200 ? pointer : `${pointer}/${name.slice(0, 64)}`, value: member })
    }
  }
}
