import { type FormEvent, useId, useState } from 'react'
import type { Keyring } from '../../domain.ts'
import type { LeakAsked } from '../../leak.ts'
import { Button } from '../../parts/button.tsx'
import { Input } from '../../parts/inputs.tsx'
import type { Secret } from '../../secret.ts'
import { askedOf, localTime, nameOf } from './search.ts'

interface SubjectProps {
  readonly asked: LeakAsked
  readonly keyrings: readonly Keyring[]
  readonly secrets: readonly Secret[]
  readonly onAsk: (asked: LeakAsked) => void
}

/** Chooses what leaked. The choice stands in the address, so that it can be kept and shared. */
export function SubjectForm({ asked, keyrings, secrets, onAsk }: SubjectProps) {
  const [name, setName] = useState(nameOf(asked))
  const [since, setSince] = useState(localTime(asked.since))
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onAsk(askedOf(name, since))
  }
  const isSecret = name.startsWith('secret/')
  return (
    <search aria-label="What leaked">
      <form onSubmit={submit} className="grid max-w-[44rem] items-start gap-4 wide:grid-cols-[minmax(0,1fr)_15rem]">
        <Subject name={name} keyrings={keyrings} secrets={secrets} onName={setName} />
        {isSecret ? (
          <Input
            label="Known to others since"
            type="datetime-local"
            value={since}
            onText={setSince}
            hint="If you know it: what was made later is not exposed."
          />
        ) : null}
        <div className="wide:col-span-2">
          <Button type="submit" kind="primary" disabled={name === ''}>
            Look what it opens
          </Button>
        </div>
      </form>
    </search>
  )
}

interface ListProps extends Pick<SubjectProps, 'keyrings' | 'secrets'> {
  readonly name: string
  readonly onName: (name: string) => void
}

function Subject({ name, keyrings, secrets, onName }: ListProps) {
  const id = useId()
  const keys = keyrings.flatMap(keysOf)
  const names = [...secrets].map((secret) => secret.name).sort((one, other) => one.localeCompare(other))
  const isKnown = name === '' || keys.some(([key]) => `key/${key}` === name) || names.some((each) => `secret/${each}` === name)
  return (
    <div>
      <label htmlFor={id} className="mb-1 block font-medium">
        Key or secret
      </label>
      <select id={id} className="input" value={name} onChange={({ target }) => onName(target.value)}>
        <option value="">Choose one…</option>
        {/* What an old address asks about may be gone from the lists. */}
        {isKnown ? null : <option value={name}>{name.replace(/^(key|secret)\//, '')}</option>}
        {keys.length === 0 ? null : (
          <optgroup label="Keys">
            {keys.map(([key, says]) => (
              <option key={key} value={`key/${key}`}>
                {says}
              </option>
            ))}
          </optgroup>
        )}
        {names.length === 0 ? null : (
          <optgroup label="Secrets">
            {names.map((each) => (
              <option key={each} value={`secret/${each}`}>
                {each}
              </option>
            ))}
          </optgroup>
        )}
      </select>
    </div>
  )
}

/** A keyring with all its keys, and each key of it that still opens something. */
const keysOf = ({ name, versions }: Keyring): (readonly [key: string, says: string])[] => [
  [name, `${name}, all keys`],
  ...versions
    .filter(({ state }) => state !== 'destroyed')
    .map(({ id, number, state }) => [`${name}/${id}`, `${name}, version ${number}, ${state} (${id})`] as const),
]
