import type { Connection } from '../api/live.ts'
import { Turning } from './button.tsx'

const says: Record<Connection, string> = { connecting: 'Connecting…', live: 'Live', reconnecting: 'Reconnecting…', ended: '' }

/** Whether what is seen is what is. */
export const Connected = ({ is }: { is: Connection }) => (
  <p
    role="status"
    className={`flex items-center gap-2 text-fine ${is === 'reconnecting' ? 'font-semibold text-retiring-ink' : 'text-soft'}`}
  >
    {is === 'reconnecting' || is === 'connecting' ? <Turning /> : null}
    {is === 'live' ? <span className="size-2 rounded-full bg-active" /> : null}
    {says[is]}
  </p>
)
