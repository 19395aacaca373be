import { useQueryClient } from '@tanstack/react-query'
import { RetireDialog } from '../keys/retire-dialog.tsx'
import { RotateDialog } from '../keys/rotate-dialog.tsx'
import { RotateSecretDialog } from '../secrets/rotate-dialog.tsx'
import type { Doing } from './act.tsx'

/** The questions that begin a remedy: those of the pages of keys and secrets, with their confirmations. */
export function Questions({ doing, onClose }: { doing: Doing | null; onClose: () => void }) {
  const client = useQueryClient()
  if (doing === null) return null
  const begun = () => {
    onClose()
    void client.invalidateQueries({ queryKey: ['rotations'] })
  }
  if (doing.kind === 'rotate-key') return <RotateDialog keyring={doing.keyring} open onClose={onClose} onBegun={begun} />
  if (doing.kind === 'retire-key') return <RetireDialog keyring={doing.keyring} version={doing.version} onClose={onClose} />
  return <RotateSecretDialog name={doing.secret} open leaked onClose={onClose} onBegun={onClose} />
}
