import { Button } from './button.tsx'

/** The next part of a long list. */
export function More({ there, busy, onMore }: { there: boolean; busy: boolean; onMore: () => void }) {
  if (!there) return null
  return (
    <p className="pt-4">
      <Button onClick={onMore} busy={busy}>
        Show more
      </Button>
    </p>
  )
}
