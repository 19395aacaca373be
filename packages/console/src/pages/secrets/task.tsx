import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useId, useRef, useState } from 'react'
import { provide } from '../../api/secrets.ts'
import { Button } from '../../parts/button.tsx'
import { Instructions } from '../../parts/instructions.tsx'
import { Refusal } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import type { Run, Task } from '../../secret.ts'
import { Needs } from '../../session.tsx'

/** What only a person can do, and where to paste what came of it. */
export function TaskForm({ run, task: { title, instructions, url, paste, until } }: { run: Run; task: Task }) {
  return (
    <div className="space-y-4">
      <h3 className="text-lead font-semibold">{title}</h3>
      <Instructions text={instructions} />
      <p className="text-fine text-soft">
        {url !== null && /^https?:\/\//.test(url) ? (
          <>
            At{' '}
            <a href={url} target="_blank" rel="noreferrer">
              {new URL(url).host}
              <span className="sr-only"> (another window)</span>
            </a>
            .{' '}
          </>
        ) : null}
        Somebody is told when it is not done <When at={until} />.
      </p>
      {paste.length === 0 || !run.actions.includes('provide') ? null : (
        <Needs takes="operator" to="give it">
          <PasteForm key={run.steps.filter(({ state }) => state === 'failed').length} id={run.id} paste={paste} />
        </Needs>
      )}
    </div>
  )
}

/**
 * What is pasted is in the field until it is sent, and nowhere else: not in the state of the page, in no cache. The field shows dots, and is
 * emptied in any case.
 */
function PasteForm({ id, paste }: { id: string; paste: Task['paste'] }) {
  const client = useQueryClient()
  const hint = useId()
  // A field for passwords drops line breaks, which a key in PEM has.
  const whole = useRef<Record<string, string>>({})
  const [problem, setProblem] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const given = new FormData(form)
    const parts = Object.fromEntries(paste.map(({ part }) => [part, whole.current[part] ?? String(given.get(part) ?? '')]))
    form.reset()
    whole.current = {}
    setBusy(true)
    setProblem(
      await provide(id, parts).then(
        (now) => {
          client.setQueryData(queries.run(id).queryKey, now)
          return null
        },
        (error: unknown) => error,
      ),
    )
    setBusy(false)
  }
  return (
    <form onSubmit={(event) => void submit(event)} className="max-w-[36rem] space-y-4" autoComplete="off">
      {paste.map(({ part, label }) => (
        <div key={part}>
          <label htmlFor={`${hint}-${part}`} className="mb-1 block font-medium">
            {label}
          </label>
          <input
            id={`${hint}-${part}`}
            name={part}
            type="password"
            className="input"
            required
            autoComplete="off"
            spellCheck={false}
            aria-describedby={`${hint}-said`}
            onPaste={({ clipboardData }) => {
              const text = clipboardData.getData('text')
              if (text.trim().includes('\n')) whole.current[part] = text
              else delete whole.current[part]
            }}
            onInput={({ nativeEvent }) => {
              if ((nativeEvent as InputEvent).inputType !== 'insertFromPaste') delete whole.current[part]
            }}
          />
        </div>
      ))}
      <p id={`${hint}-said`} className="text-fine text-soft">
        It is sealed at once and tried. It is not shown again, here or anywhere: keep no copy.
      </p>
      <Refusal error={problem} />
      <Button type="submit" kind="primary" busy={busy}>
        Give it
      </Button>
    </form>
  )
}
