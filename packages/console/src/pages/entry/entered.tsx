import { Navigate } from '@tanstack/react-router'

/** Somebody is logged in: there is nothing more to do here. */
export const Entered = () => <Navigate to="/" replace />
