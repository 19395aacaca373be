import { count, percent } from '../words/numbers.ts'
import type { Segment } from '../words/segments.ts'

/** Values under each key as one bar, with the same in words below it. */
export function KeyBar({ segments, of }: { segments: readonly Segment[]; of: string }) {
  const total = segments.reduce((sum, { values }) => sum + values, 0)
  return (
    <div>
      <div className="bar" aria-hidden="true">
        {segments.map(({ key, tone, values }) => (
          <div key={key} className="fill" data-tone={tone} style={{ width: `${(values / total) * 100}%` }} />
        ))}
      </div>
      <ul aria-label={`Values of ${of} by key`} className="mt-2 flex flex-wrap gap-x-6 gap-y-1 text-fine">
        {segments.map(({ key, says, tone, values }) => (
          <li key={key} className="flex items-center gap-2">
            <Swatch tone={tone} />
            <span>
              {says} <strong className="font-semibold">{count(values)}</strong> <span className="text-soft">{percent(values, total)}</span>
            </span>
          </li>
        ))}
      </ul>
    </div>
  )
}

/** A sample of a fill, beside the word for it. */
export const Swatch = ({ tone }: { tone: string }) => (
  <span className="fill inline-block h-3 w-4 shrink-0 border border-edge" data-tone={tone} aria-hidden="true" />
)

interface ProgressProps {
  readonly label: string
  readonly done: number
  /** Null: nobody knows yet. */
  readonly total: number | null
  readonly tone?: string
  readonly thin?: boolean
}

/** How much is done. Screen readers are told by number; what changes is announced elsewhere, seldom. */
export function Progress({ label, done, total, tone = 'active', thin = false }: ProgressProps) {
  const share = total === null || total === 0 ? 0 : Math.min(1, done / total)
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={total ?? undefined}
      aria-valuenow={total === null ? undefined : Math.min(done, total)}
      aria-valuetext={total === null ? `${count(done)} so far` : `${count(done)} of ${count(total)}`}
      className="bar"
      data-size={thin ? 'thin' : undefined}
    >
      {share === 0 ? null : <div className="fill" data-tone={tone} style={{ width: `${share * 100}%` }} />}
    </div>
  )
}
