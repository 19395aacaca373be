import { ask, find, row, run, time } from './page.js'

async function show() {
  const { answer } = await ask('GET', '/api/servers')
  find('none').hidden = answer.length > 0
  find('secrets').replaceChildren(
    ...answer.flatMap((server) =>
      server.secrets.map(({ name, updatedAt, updatedBy }) =>
        row(server.name, name, time(updatedAt), updatedBy, rotateButton(server, name)),
      ),
    ),
  )
}

function rotateButton(server, secret) {
  const button = document.createElement('button')
  button.textContent = 'Rotate'
  button.setAttribute('aria-label', `Rotate ${secret} of ${server.name}`)
  button.addEventListener('click', () => {
    const dialog = find('replace')
    find('replace-name').textContent = `${secret} of ${server.name}`
    find('replace-value').value = ''
    // Escape and Cancel end it without a value.
    dialog.returnValue = ''
    dialog.onclose = () => {
      const value = find('replace-value').value
      find('replace-value').value = ''
      if (dialog.returnValue === 'replace') run(button, () => replace(server, secret, value))
    }
    dialog.showModal()
  })
  return button
}

async function replace(server, secret, value) {
  await ask('PUT', `/api/servers/${server.id}/secrets/${encodeURIComponent(secret)}`, { value })
  await show()
  find('done').textContent = `${secret} of ${server.name} is rotated. Revoke the old value at the server.`
}

find('add').addEventListener('submit', (event) => {
  event.preventDefault()
  const form = event.target
  const { name, url, header, value } = Object.fromEntries(new FormData(form))
  run(form.querySelector('button'), async () => {
    await ask('POST', '/api/servers', { name, url, headers: { [header]: value } })
    form.reset()
    await show()
    find('done').textContent = `${name} is added.`
  })
})

run(find('add').querySelector('button'), show)
