import { ask, find, run } from './page.js'

find('log-in').addEventListener('submit', (event) => {
  event.preventDefault()
  const { name, password } = Object.fromEntries(new FormData(event.target))
  run(event.target.querySelector('button'), async () => {
    await ask('POST', '/login', { name, password })
    location.assign('/admin/servers')
  })
})
