// A file of its own, because the policy of the page refuses inline code; read before the first paint, so that nothing flashes.
try {
  const theme = localStorage.getItem('keyturn.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Storage may be refused: the system's theme is used.
}
