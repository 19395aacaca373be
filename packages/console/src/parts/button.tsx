import type { ButtonHTMLAttributes, ReactNode } from 'react'

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'className' | 'style'> {
  readonly kind?: 'primary' | 'plain' | 'danger' | 'quiet'
  /** Something is under way: it says so and cannot be pressed again. */
  readonly busy?: boolean
  readonly children: ReactNode
}

/** Something to press. */
export function Button({ kind = 'plain', busy = false, disabled = false, type = 'button', children, ...rest }: ButtonProps) {
  return (
    <button {...rest} type={type} className="button" data-kind={kind} disabled={disabled || busy} aria-busy={busy || undefined}>
      {busy ? <Turning /> : null}
      {children}
    </button>
  )
}

/** Something goes on: the mark, turning. */
export function Turning() {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" className="spin" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="2">
      <circle cx="8" cy="8" r="6" opacity="0.35" />
      <path d="M8 8 L12.3 3.7" strokeWidth="2.5" />
    </svg>
  )
}
