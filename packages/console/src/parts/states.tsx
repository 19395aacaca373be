import type { ReactNode } from 'react'
import { asProblem } from '../api/problem.ts'
import { Button } from './button.tsx'

interface LoadedProps<T> {
  readonly of: { readonly data: T | undefined; readonly error: Error | null; readonly isFetching: boolean; readonly refetch: () => unknown }
  /** What is loaded, for the sentences: `keyrings`. */
  readonly what: string
  readonly empty?: { readonly when: (data: T) => boolean; readonly say: ReactNode }
  readonly children: (data: T) => ReactNode
}

/** Shows one of four states: loading, error, empty, ready. What is known stays on the page while it cannot be asked for again. */
export function Loaded<T>({ of, what, empty, children }: LoadedProps<T>) {
  if (of.data !== undefined) {
    return (
      <>
        {of.error === null ? null : <Stale error={of.error} what={what} />}
        {empty?.when(of.data) ? empty.say : children(of.data)}
      </>
    )
  }
  if (of.error !== null) return <Failed error={of.error} what={what} again={() => void of.refetch()} busy={of.isFetching} />
  return <Loading what={what} />
}

/** Nothing is known yet. */
export function Loading({ what }: { what: string }) {
  return (
    <div role="status" className="space-y-3 py-1">
      <span className="sr-only">Loading {what}…</span>
      {['w-full', 'w-5/6', 'w-2/3'].map((width) => (
        <div key={width} className={`skeleton h-5 ${width}`} />
      ))}
    </div>
  )
}

/** There is nothing, which is no fault: what it means, and the next step. */
export function Empty({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="max-w-[44rem] border-l-4 border-line py-1 pl-5">
      <p className="text-lead font-semibold">{title}</p>
      <div className="mt-1 text-soft">{children}</div>
      {action === undefined ? null : <div className="mt-4">{action}</div>}
    </div>
  )
}

/** It could not be loaded: why, and the next step. */
export function Failed({ error, what, again, busy = false }: { error: unknown; what: string; again?: () => void; busy?: boolean }) {
  const { code, detail, next } = asProblem(error)
  return (
    <div role="alert" className="max-w-[44rem] border-l-4 border-danger py-1 pl-5">
      <p className="text-lead font-semibold">The {what} could not be loaded</p>
      <p className="mt-1 first-letter:uppercase">{sentence(detail)}</p>
      <p className="mt-1 text-soft">{next}</p>
      <p className="mt-4 flex flex-wrap items-center gap-4">
        {again === undefined ? null : (
          <Button onClick={again} busy={busy}>
            Try again
          </Button>
        )}
        <code className="text-soft">{code}</code>
      </p>
    </div>
  )
}

function Stale({ error, what }: { error: unknown; what: string }) {
  return (
    <p role="status" className="mb-4 border-l-4 border-retiring pl-5 text-soft">
      The {what} below may have changed since: {sentence(asProblem(error).detail)} {asProblem(error).next}
    </p>
  )
}

/** What was asked for was refused: under the form or the button that asked. */
export function Refusal({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null
  const { code, detail, next } = asProblem(error)
  return (
    <div role="alert" className="border-l-4 border-danger pl-4">
      <p className="first-letter:uppercase">{sentence(detail)}</p>
      <p className="text-fine text-soft">
        {next} <code>{code}</code>
      </p>
    </div>
  )
}

const sentence = (text: string): string => (/[.?!]$/.test(text) ? text : `${text}.`)
