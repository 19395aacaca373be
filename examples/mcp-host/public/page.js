// What every page does: asks the API, shows errors, ends the session.

/** Asks the API of this host. @throws Error with what it says */
export async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const answer = await response.json()
  if (response.status === 401 && path !== '/login') location.assign('/login')
  if (!response.ok) throw new Error(answer.detail ?? answer.error ?? `The host answers ${response.status}.`)
  return { status: response.status, answer }
}

export const find = (id) => document.getElementById(id)

/** Runs what a button does: once at a time, and what it throws is shown. */
export async function run(button, work) {
  find('error').textContent = ''
  button.disabled = true
  try {
    await work()
  } catch (error) {
    find('error').textContent = error.message
  } finally {
    button.disabled = false
  }
}

/** A cell of a table. Always as text: names and addresses are what somebody has typed. */
export function cell(content, tag = 'td') {
  const made = document.createElement(tag)
  if (content instanceof Node) made.append(content)
  else made.textContent = content
  return made
}

export function row(...contents) {
  const made = document.createElement('tr')
  made.append(...contents.map((content) => cell(content)))
  return made
}

/** A time as people say it, with the exact one at hand. */
export function time(iso) {
  if (!iso) return '–'
  const made = document.createElement('time')
  made.dateTime = iso
  made.title = iso
  made.textContent = new Date(iso).toLocaleString()
  return made
}

find('log-out')?.addEventListener('click', async () => {
  await fetch('/logout', { method: 'POST' })
  location.assign('/login')
})
