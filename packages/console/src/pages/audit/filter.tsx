import { type FormEvent, useState } from 'react'
import type { AuditFilter } from '../../api/audit.ts'
import { Button } from '../../parts/button.tsx'
import { Input } from '../../parts/inputs.tsx'
import { auditSearch } from './search.ts'

const lines = [
  ['actor', 'Who', 'user:ada'],
  ['action', 'What', 'rotation.complete'],
  ['subject', 'To what', 'keyring/app'],
  ['from', 'From', ''],
  ['to', 'Until', ''],
] as const

/** Chooses events. The choice stands in the address, so that it can be kept and shared. */
export function Filter({ filter, onFilter }: { filter: AuditFilter; onFilter: (filter: AuditFilter) => void }) {
  const [draft, setDraft] = useState(filter)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onFilter(auditSearch({ ...draft }))
  }
  return (
    <search aria-label="Events">
      <form
        onSubmit={submit}
        className="mb-6 grid grid-cols-2 items-end gap-4 wide:grid-cols-3 broad:grid-cols-[1fr_1fr_1fr_9rem_9rem_auto]"
      >
        {lines.map(([name, label, example]) => (
          <Input
            key={name}
            label={label}
            type={example === '' ? 'date' : 'text'}
            placeholder={example}
            value={draft[name] ?? ''}
            onText={(text) => setDraft({ ...draft, [name]: text })}
          />
        ))}
        <Button type="submit">Filter</Button>
      </form>
    </search>
  )
}
