/**
 * The ending of a sentence about an unknown name: `. Did you mean "app"?`, or what there is, or nothing.
 *
 * Names count as near when at most a third of their letters differ (at least one, at most three), by the distance of Damerau and
 * Levenshtein in its restricted form: an inserted, left-out or changed letter, or two neighbours exchanged, is one step. Case is
 * ignored. Where none is near and there are few names, all of them are listed.
 *
 * @example
 * nearest('ap', ['app', 'web']) // '. Did you mean "app"?'
 */
export function nearest(name: string, names: readonly string[]): string {
  const near = nearestNames(name, names)
  if (near.length > 0) return `. Did you mean ${near.map(quoted).join(' or ')}?`
  if (names.length === 0 || names.length > LISTED) return ''
  return `. There ${names.length === 1 ? 'is' : 'are'} ${[...names].sort().map(quoted).join(', ')}`
}

const LISTED = 8
const SUGGESTED = 2

/** The names nearest to `name`, at most two; none where all are far. */
export function nearestNames(name: string, names: readonly string[]): string[] {
  const wanted = name.toLowerCase()
  const limit = Math.min(3, Math.max(1, Math.floor(wanted.length / 3)))
  const measured = names
    .map((candidate) => ({ candidate, steps: distance(wanted, candidate.toLowerCase()) }))
    .filter(({ steps }) => steps <= limit)
    .sort((a, b) => a.steps - b.steps || (a.candidate < b.candidate ? -1 : 1))
  return measured
    .filter(({ steps }) => steps === measured[0]?.steps)
    .slice(0, SUGGESTED)
    .map(({ candidate }) => candidate)
}

/** Steps from `a` to `b`: Damerau 1964, Levenshtein 1966, the restricted form that edits no part twice. */
export function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let steps = Math.min(changed, at(last, j) + 1, at(row, j - 1) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) steps = Math.min(steps, at(before, j - 2) + 1)
      row.push(steps)
    }
    before = last
    last = row
  }
  return at(last, b.length)
}

const at = (row: readonly number[], index: number): number => row[index] ?? Number.POSITIVE_INFINITY
const quoted = (name: string): string => `"${name}"`
