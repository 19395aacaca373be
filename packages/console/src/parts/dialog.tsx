import { Dialog as Radix } from 'radix-ui'
import { type ReactNode, useEffect, useRef } from 'react'

interface DialogProps {
  readonly open: boolean
  readonly onClose: () => void
  readonly title: string
  readonly about: ReactNode
  readonly kind?: 'plain' | 'danger'
  readonly children: ReactNode
}

/**
 * A question in front of the page. The focus stays in it and goes back to where it came from.
 *
 * Without Radix's own overlay: it stops the page from scrolling with an inline style sheet, which the policy of the page refuses.
 */
export function Dialog({ open, onClose, title, about, kind = 'plain', children }: DialogProps) {
  const before = useRef<Element | null>(null)
  useEffect(() => {
    if (!open) return
    document.documentElement.dataset.dialog = 'open'
    return () => {
      delete document.documentElement.dataset.dialog
    }
  }, [open])
  return (
    <Radix.Root open={open} onOpenChange={(is) => (is ? undefined : onClose())}>
      <Radix.Portal>
        <div className="scrim" />
        <Radix.Content
          className="dialog"
          data-kind={kind}
          // Radix gives the focus back to a trigger of its own only: these questions are opened by many things.
          onOpenAutoFocus={() => {
            before.current = document.activeElement
          }}
          onCloseAutoFocus={(event) => {
            event.preventDefault()
            const back = before.current
            // What it was opened by may have done its work and be gone.
            if (back instanceof HTMLElement && back.isConnected) back.focus()
            else document.getElementById('main')?.focus()
          }}
        >
          <Radix.Title className="text-head font-semibold">{title}</Radix.Title>
          <Radix.Description asChild>
            <div className="mt-2 text-soft">{about}</div>
          </Radix.Description>
          <div className="mt-5 space-y-5">{children}</div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** The last line of a dialog: the way back first, then the way on. */
export const DialogActions = ({ children }: { children: ReactNode }) => <div className="dialog-actions">{children}</div>
