import { Fragment, useState } from 'react'
import { Button } from './button.tsx'

/** A command to be given elsewhere: it can be selected as a whole, and copied where the browser allows it. */
export function CommandLine({ command }: { command: string }) {
  const [copied, setCopied] = useState('')
  const copy = () =>
    navigator.clipboard.writeText(command).then(
      () => setCopied('Copied.'),
      () => setCopied('The browser does not allow it: select the command and copy it.'),
    )
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <code className="command">
        {command.split(/(?= --)/).map((part) => (
          <Fragment key={part}>
            {part.startsWith(' ') ? ' ' : null}
            <span className={part.startsWith(' ') ? 'whitespace-nowrap' : ''}>{part.trimStart()}</span>
          </Fragment>
        ))}
      </code>
      {'clipboard' in navigator ? (
        <Button kind="quiet" onClick={() => void copy()}>
          Copy<span className="sr-only"> {command}</span>
        </Button>
      ) : null}
      <span role="status" className="text-fine text-soft">
        {copied}
      </span>
    </div>
  )
}
