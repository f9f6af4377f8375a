// What makes the pages nicer; every page works without it.
'use strict';

const toast = (text) => {
  const box = document.querySelector('.toast');
  if (!box) return;
  box.textContent = text;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { box.textContent = ''; }, 5000);
};

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    toast('Copied');
  } catch {
    getSelection().selectAllChildren(source);
    toast('Selected: press Ctrl+C to copy');
  }
});

// A printed page says at its head what it is; where the server did not, the browser does.
for (const button of document.querySelectorAll('[data-print]')) button.hidden = false;
document.addEventListener('click', (event) => { if (event.target.closest('[data-print]')) print(); });
addEventListener('beforeprint', () => {
  const { dataset } = document.documentElement;
  dataset.title ??= document.title.replace(/ - Patchbay$/, '');
  dataset.made ??= new Date().toLocaleString();
});

// One box that ticks all of a list, and shows whether all, some or none are ticked.
document.addEventListener('change', (event) => {
  const table = event.target.closest('table');
  const all = table?.querySelector('[data-all]');
  if (!all) return;
  const boxes = [...table.querySelectorAll(`input[name="${all.dataset.all}"]`)];
  if (event.target === all) for (const box of boxes) box.checked = all.checked;
  const ticked = boxes.filter((box) => box.checked).length;
  all.checked = ticked > 0 && ticked === boxes.length;
  all.indeterminate = ticked > 0 && ticked < boxes.length;
});

// Asks before what cannot be undone, and lets a form be sent once only.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.hasAttribute('hx-post') || form.method !== 'post') return;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) return event.preventDefault();
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = 'yes';
  event.submitter?.setAttribute('aria-busy', 'true');
});
addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('[data-sent]')) delete form.dataset.sent;
  for (const button of document.querySelectorAll('button[aria-busy]')) button.removeAttribute('aria-busy');
});

// Editing in a row: Enter saves, as in every form; Escape puts the row back.
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') event.target.closest?.('tr.edit')?.querySelector('[data-escape]').click();
});

// After a swap, the keyboard goes on where the eye is, and what changed is said aloud.
document.addEventListener('htmx:after:swap', (event) => {
  const { sourceElement, request, response, swap } = event.detail.ctx;
  if (swap === 'none') return;
  const row = event.target.closest?.('tr[id]') ?? sourceElement.closest?.('tr[id]');
  if (row?.isConnected) {
    const first = row.querySelector('[aria-invalid]') ?? row.querySelector('[autofocus]') ?? row.querySelector('.act a');
    first?.focus();
    toast(request.method === 'POST' && response.status === 200 ? 'Saved' : '');
    return;
  }
  const table = document.getElementById('table');
  if (document.activeElement === document.body) table?.focus({ preventScroll: true });
  const said = document.querySelector('.said');
  if (said && table) said.textContent = table.querySelector('.pages span, .empty')?.textContent ?? '';
});

// While one goes on typing into a search, the address changes in place: Back leaves the search.
let typed = null;
document.addEventListener('htmx:before:history:update', (event) => {
  const { history, sourceElement } = event.detail;
  const form = sourceElement?.matches?.('form') ? sourceElement : null;
  if (form && form === typed) history.type = 'replace';
  if (form) {
    const url = new URL(history.path, location.origin);
    for (const [name, value] of [...url.searchParams]) if (!value) url.searchParams.delete(name);
    history.path = url.pathname + url.search;
  }
  typed = form;
});

// An error that is not the form's: nothing was swapped, so say what the server said.
document.addEventListener('htmx:response:error', (event) => {
  const { response, text } = event.detail.ctx;
  if (response.status === 412 || response.status === 422) return;
  const page = new DOMParser().parseFromString(text ?? '', 'text/html');
  const sentence = page.querySelector('.sentence')?.textContent ?? 'that did not work; try again.';
  toast(sentence[0].toUpperCase() + sentence.slice(1));
});
document.addEventListener('htmx:error', () => toast('Patchbay does not answer; nothing was changed. Try again.'));
