import { type InputHTMLAttributes, type ReactNode, useId } from 'react'

interface InputProps extends Omit<InputHTMLAttributes<HTMLInputElement>, 'className' | 'style' | 'onChange' | 'id'> {
  readonly label: string
  readonly hint?: ReactNode
  readonly wrong?: string | null
  readonly onText: (text: string) => void
}

/** A line to type into, with its name above it, and a hint or what is wrong below it. */
export function Input({ label, hint, wrong = null, onText, ...rest }: InputProps) {
  const id = useId()
  const said = wrong ?? hint
  return (
    <div>
      <label htmlFor={id} className="mb-1 block font-medium">
        {label}
      </label>
      <input
        {...rest}
        id={id}
        className="input"
        onChange={({ target }) => onText(target.value)}
        aria-invalid={wrong === null ? undefined : true}
        aria-describedby={said === undefined ? undefined : `${id}-said`}
      />
      {said === undefined ? null : (
        <p id={`${id}-said`} className={`mt-1 text-fine ${wrong === null ? 'text-soft' : 'text-danger'}`}>
          {said}
        </p>
      )}
    </div>
  )
}

/** A list to choose from. */
export function Select<T extends string>(props: {
  label: string
  value: T
  options: readonly (readonly [value: T, says: string])[]
  onValue: (value: T) => void
  hidden?: boolean
}) {
  const { label, value, options, onValue, hidden = false } = props
  const id = useId()
  return (
    <div>
      <label htmlFor={id} className={hidden ? 'sr-only' : 'mb-1 block font-medium'}>
        {label}
      </label>
      <select id={id} className="input" value={value} onChange={({ target }) => onValue(target.value as T)}>
        {options.map(([each, says]) => (
          <option key={each} value={each}>
            {says}
          </option>
        ))}
      </select>
    </div>
  )
}

/** Something to agree to, with what it means. */
export function Check({
  label,
  note,
  checked,
  onChecked,
}: {
  label: string
  note?: ReactNode
  checked: boolean
  onChecked: (is: boolean) => void
}) {
  const id = useId()
  return (
    <div className="flex gap-3">
      <input
        type="checkbox"
        id={id}
        checked={checked}
        onChange={({ target }) => onChecked(target.checked)}
        aria-describedby={note === undefined ? undefined : `${id}-note`}
      />
      <div>
        <label htmlFor={id}>{label}</label>
        {note === undefined ? null : (
          <p id={`${id}-note`} className="text-fine text-soft">
            {note}
          </p>
        )}
      </div>
    </div>
  )
}

/** What cannot be taken back asks for a name to be typed. */
export function TypeName({ name, typed, onTyped }: { name: string; typed: string; onTyped: (text: string) => void }) {
  return (
    <Input
      label={`Type ${name} to go on`}
      value={typed}
      onText={onTyped}
      autoComplete="off"
      spellCheck={false}
      hint={typed === '' || typed === name ? 'Exactly as it is written here.' : 'That is not the name yet.'}
    />
  )
}

/** What nothing takes back asks a person for the password again. */
export function PasswordAgain({ password, onPassword }: { password: string; onPassword: (text: string) => void }) {
  return (
    <Input
      label="Your password, once more"
      hint="Not asked for where your application logs you in."
      type="password"
      autoComplete="current-password"
      value={password}
      onText={onPassword}
    />
  )
}
