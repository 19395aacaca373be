import { ToggleGroup } from 'radix-ui'
import { useEffect, useState } from 'react'

const themes = [
  ['system', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
] as const
type Theme = (typeof themes)[number][0]

const remembered = (name: string): string | null => {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}
const remember = (name: string, value: string) => {
  try {
    localStorage.setItem(name, value)
  } catch {
    // Storage may be refused: the choice lasts as long as the page.
  }
}

/** Light or dark, or as the system has it. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(() => themes.find(([each]) => each === remembered('keyturn.theme'))?.[0] ?? 'system')
  useEffect(() => {
    remember('keyturn.theme', theme)
    if (theme === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme
  }, [theme])
  return (
    <ToggleGroup.Root
      type="single"
      className="segments"
      aria-label="Theme"
      value={theme}
      onValueChange={(value) => (value === '' ? undefined : setTheme(value as Theme))}
    >
      {themes.map(([each, says]) => (
        <ToggleGroup.Item key={each} value={each}>
          {says}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  )
}

/** Whether times are shown exactly, and how to change it. */
export function useExactTimes() {
  const [exactly, setExactly] = useState(() => remembered('keyturn.times') === 'exact')
  const change = (is: boolean) => {
    remember('keyturn.times', is ? 'exact' : 'relative')
    setExactly(is)
  }
  return [exactly, change] as const
}
