/** Where the project says it is. These are placeholders, as in `install.sh`. */
export const HOMEPAGE = 'https://atlas.example.com'
/** Each release is in a folder of its version. */
export const DOWNLOADS = `${HOMEPAGE}/releases`
export const AUTHORS = 'The atlas authors'
export const SUMMARY = 'Log in to an Atlas server and use its API'
