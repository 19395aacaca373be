/**
 * Looks once for all who ask together. Whoever asks while a look is going on is given the next one, which begins after they asked:
 * what they know to be done is in it.
 */
export function together<T>(look: () => Promise<T>): () => Promise<T> {
  let going: Promise<T> | null = null
  let next: Promise<T> | null = null
  const begin = () => {
    const own = look().finally(() => {
      if (going === own) going = null
    })
    going = own
    return own
  }
  return () => {
    if (going === null) return begin()
    const after = () => {
      next = null
      return begin()
    }
    next ??= going.then(after, after)
    return next
  }
}
