/** The platform's keychain, as people call it. */
export function describeKeychain(platform: NodeJS.Platform): string {
  if (platform === 'darwin') return 'the macOS Keychain'
  if (platform === 'win32') return 'the Windows Credential Manager'
  return 'the Secret Service keychain'
}

/** Windows compares names without regard to case: there an account with capitals gets a name of its own. */
export const itemName = (account: string, platform: NodeJS.Platform): string =>
  platform === 'win32' && account !== account.toLowerCase()
    ? `${account}#${Bun.SHA256.hash(account, 'hex').slice(0, 8)}`
    : account
