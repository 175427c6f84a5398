import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Chromium, openPage } from './chromium.ts';

/** Opens a page, the file named '', in Chromium, and waits for the JSON that it posts; an `error` in it is thrown. */
export async function visit<T>(
  browser: Chromium,
  files: ReadonlyMap<string, string>,
  headers: Readonly<Record<string, string>> = {},
): Promise<T> {
  let closePage = async (): Promise<void> => {};
  let deliver = (_: string): void => {};
  const result = new Promise<string>((resolve) => {
    deliver = resolve;
  });
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      deliver(await text(request));
      response.end();
      return;
    }
    const name = (request.url ?? '/').slice(1);
    const file = files.get(name);
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': name === '' ? 'text/html' : 'text/javascript', ...headers });
    response.end(file);
  });
  try {
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    closePage = await openPage(browser, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const outcome = JSON.parse(await result) as T & { error?: string };
    if (outcome.error !== undefined) throw new Error(`in the page: ${outcome.error}`);
    return outcome;
  } finally {
    await closePage();
    server.closeAllConnections();
    server.close();
  }
}
