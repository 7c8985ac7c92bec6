// Drives the page in a real browser: node e2e/page.mjs URL DIR
//
// URL is that of a Varve server that scrapes itself (make run), DIR gets the screenshots. The browser is Debian's chromium, or $CHROMIUM.
// Ends with 1 and a sentence if anything is not as it should be, an error in the console of the browser included.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [url, dir] = process.argv.slice(2);
assert(url && dir, 'usage: node e2e/page.mjs URL DIR');
mkdirSync(dir, { recursive: true });

// How long anything may take, in ms: a machine may be busy, and who waits for what comes waits no longer for that.
const patience = 120_000;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'], timeout: patience });
const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' });
context.setDefaultTimeout(patience);
const page = await context.newPage();
const complaints = [];
page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(`${m.type()}: ${m.text()}`));
page.on('pageerror', (e) => complaints.push(`error: ${e.message}`));
page.on('response', (r) => r.status() >= 500 && complaints.push(`${r.status()} ${r.url()}`));

let steps = 0;
async function step(name, run) {
  try {
    await run();
    steps++;
    console.log(`ok    ${name}`);
  } catch (e) {
    await page.screenshot({ path: `${dir}/failed.png` });
    console.log(`FAIL  ${name}: ${e.message}\n${complaints.join('\n')}`);
    await browser.close();
    process.exit(1);
  }
}
// Tries again until what is asserted holds: pages and editors take up input a moment later.
async function soon(check) {
  for (const until = Date.now() + patience; ; await new Promise((r) => setTimeout(r, 50))) {
    try {
      return await check();
    } catch (e) {
      if (Date.now() > until) throw e;
    }
  }
}
const shot = (name) => page.screenshot({ path: `${dir}/${name}.png` });
const editor = page.locator('.cm-content');
const press = (key) => page.keyboard.press(key);

await step('the page comes up', async () => {
  await page.goto(url);
  await page.getByText('Ask something').waitFor();
  assert.match(await page.title(), /Varve/);
});

await step('a query is typed with completion', async () => {
  await editor.click();
  await page.keyboard.type('rate(varve_http_req', { delay: 25 });
  const option = page.locator('.cm-tooltip-autocomplete li', { hasText: 'varve_http_requests_total' }).first();
  await option.waitFor();
  await shot('completion');
  await option.click();
  await page.keyboard.type('[1m]');
  // The closing bracket is there already; the editor steps over it.
  await soon(async () => assert.equal((await editor.innerText()).trim(), 'rate(varve_http_requests_total[1m])'));
  await press('Escape');
});

await step('Enter runs it and a graph appears', async () => {
  await editor.click();
  await press('End');
  await press('Enter');
  await page.locator('.plot canvas').waitFor();
  await page.locator('.legend li').first().waitFor();
  await soon(async () => assert.match(await page.locator('.status').innerText(), /\d+ series/));
  await soon(async () => {
    const drawn = await page.locator('.plot canvas').evaluate((c) => {
      const copy = document.createElement('canvas'); // the browser complains of a canvas that is drawn by hardware and read more than once
      [copy.width, copy.height] = [c.width, c.height];
      const g = copy.getContext('2d', { willReadFrequently: true });
      g.drawImage(c, 0, 0);
      const d = g.getImageData(0, 0, copy.width, copy.height).data;
      let colored = 0;
      for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 0 && Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 60) colored++;
      return colored;
    });
    assert(drawn > 20, `the canvas has ${drawn} colored pixels`);
  });
  await shot('graph');
});

await step('the table has values', async () => {
  await page.getByRole('tab', { name: 'Table' }).click();
  await page.locator('tbody tr').first().waitFor();
  assert((await page.locator('tbody tr').count()) > 0);
  await page.getByRole('button', { name: 'Value' }).click();
  await soon(async () => assert.equal(await page.locator('th[aria-sort]').count(), 1));
});

await step('the explain panel has stages, GETs, bytes, cost and cache', async () => {
  await page.getByRole('tab', { name: 'Explain' }).click();
  for (const word of ['Stages', 'GETs', 'LISTs', 'Fetched', 'From caches', 'Cost']) await page.locator('.explain dt', { hasText: word }).first().waitFor();
  await shot('explain');
});

await step('arrows turn the tabs, and the skip link leads to the content', async () => {
  await page.getByRole('tab', { name: 'Explain' }).focus();
  await press('ArrowLeft');
  await soon(async () => assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-table'));
  await page.getByRole('tab', { name: 'Table', selected: true }).waitFor();
  await page.getByRole('tabpanel', { name: 'Table' }).waitFor();
  await page.locator('.skip').focus();
  await press('Enter');
  await soon(async () => assert.equal(await page.evaluate(() => document.activeElement.id), 'page'));
  await page.getByRole('tab', { selected: true }).waitFor();
});

await step('what is not run yet stays when the colors change', async () => {
  await editor.click();
  await press('ControlOrMeta+a');
  await page.keyboard.type('vector(1) + 5');
  for (let i = 0; i < 3; i++) await page.locator('#theme').click();
  await soon(async () => assert.equal((await editor.innerText()).trim(), 'vector(1) + 5'));
});

await step('a range of samples and an end beyond all calendars', async () => {
  await page.evaluate(() => (location.hash = `#/query?q=${encodeURIComponent('up[1m]')}&range=900&tab=table`));
  await page.locator('td', { hasText: /^1/ }).first().waitFor();
  await page.evaluate(() => (location.hash = '#/query?q=up&range=900&end=1e18&tab=table'));
  await page.getByText('No series.').waitFor();
});

await step('a mistake is named, with its place', async () => {
  await editor.click();
  await press('ControlOrMeta+a');
  await page.keyboard.type('sum(');
  await press('Escape');
  await page.evaluate(() => (location.hash = `#/query?q=${encodeURIComponent('sum(rate(up[5m])) by (')}&range=3600`));
  await page.locator('.error').waitFor();
  await soon(async () => assert.match(await page.locator('.error').innerText(), /bad_data.*parse error/s));
  // The browser reports the 400 in its console by itself.
  await soon(() => assert(complaints.some((c) => c.includes('400'))));
  complaints.splice(0, complaints.length, ...complaints.filter((c) => !c.includes('400')));
});

await step('the address brings a query back', async () => {
  await page.goto(`${url}#/query?q=${encodeURIComponent('up')}&range=900&tab=table`);
  await page.reload();
  await page.locator('tbody tr').first().waitFor();
  await soon(async () => assert.equal((await editor.innerText()).trim(), 'up'));
});

await step('keys lead everywhere', async () => {
  await editor.click();
  await press('Escape');
  await press('Escape');
  await press('?');
  await page.locator('dialog[open]').waitFor();
  await press('Escape');
  await press('s');
  await page.getByRole('heading', { name: 'Cardinality' }).waitFor();
  await page.locator('tbody tr').first().waitFor();
  await shot('cardinality');
  await press('c');
  await page.getByRole('heading', { name: /Catalog/ }).waitFor();
  await shot('catalog');
});

await step('a day of the catalog shows its blocks', async () => {
  const day = page.locator('tbody a').first();
  await day.waitFor();
  await day.click();
  await page.getByText(/live blocks?/).waitFor();
  await page.locator('tbody tr').first().waitFor();
  await shot('blocks');
});

await step('another tenant has nothing', async () => {
  await page.locator('#tenant').fill('nobody');
  await press('Enter');
  await page.evaluate(() => (location.hash = '#/query?q=up&range=900&tab=table'));
  await page.getByText('No series.').waitFor();
  await page.locator('#tenant').fill('not a name');
  await press('Enter');
  await soon(async () => assert.equal(await page.locator('#tenant').getAttribute('aria-invalid'), 'true'));
  await page.locator('#tenant').fill('');
  await press('Enter');
  await page.locator('tbody tr').first().waitFor();
});

await step('dark is dark', async () => {
  await page.evaluate(() => (location.hash = '#/query?q=' + encodeURIComponent('sum by (route) (rate(varve_http_requests_total[1m]))') + '&range=900'));
  await page.locator('.plot canvas').waitFor();
  while ((await page.locator('#theme').getAttribute('aria-label')) !== 'Theme: dark') await page.locator('#theme').click();
  await page.locator('.plot canvas').waitFor();
  await soon(async () => {
    const [r, g, b] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).map(Number);
    assert(r + g + b < 200, `the background is ${r} ${g} ${b}`);
  });
  await shot('dark');
});

await step('on a phone nothing runs over the edge', async () => {
  await page.setViewportSize({ width: 390, height: 780 });
  await soon(async () => {
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert(over <= 0, `the page is ${over} pixels too wide`);
  });
  await shot('phone');
});

await step('no error in the console', async () => assert.deepEqual(complaints, []));
await browser.close();
console.log(`${steps} steps passed`);
