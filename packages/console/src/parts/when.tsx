import { createContext, useContext, useEffect, useState } from 'react'
import { ago, exact } from '../words/times.ts'

/** Whether times are shown exactly: one switch for all of them, because a keyboard has no hover. */
export const ExactTimes = createContext(false)

const tickMs = 20_000

/** A time as people say it, with the exact one at hand. */
export function When({ at, never = 'never' }: { at: Date | null; never?: string }) {
  const exactly = useContext(ExactTimes)
  const [, setTick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => setTick((tick) => tick + 1), tickMs)
    return () => clearInterval(timer)
  }, [])
  if (at === null) return <span className="text-soft">{never}</span>
  const [shown, other] = exactly ? [exact(at), ago(at)] : [ago(at), exact(at)]
  return (
    <time dateTime={at.toISOString()} title={other}>
      {shown}
    </time>
  )
}

const isoTime = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/

/** A sentence of the server with the times in it as people say them. */
export const WithTimes = ({ text }: { text: string }) =>
  text.split(isoTime).map((piece, n) => {
    const at = isoTime.test(piece) ? new Date(piece) : null
    // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one sentence keep their order
    return at === null || Number.isNaN(at.getTime()) ? piece : <When key={n} at={at} />
  })
