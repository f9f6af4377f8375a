// What makes the pages nicer; every page works without it.
'use strict';

const toast = (text) => {
  const box = document.querySelector('.toast');
  if (!box) return;
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { box.hidden = true; }, 4000);
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

// One box that ticks all of a list.
document.addEventListener('change', (event) => {
  const name = event.target.dataset?.all;
  if (!name) return;
  for (const box of event.target.closest('table').querySelectorAll(`input[name="${name}"]`)) {
    box.checked = event.target.checked;
  }
});

// Editing in a row: Enter saves, Escape puts it back.
document.addEventListener('keydown', (event) => {
  const group = event.target.closest?.('[data-submit]');
  if (!group) return;
  if (event.key === 'Enter' && event.target.matches('input')) {
    event.preventDefault();
    document.getElementById(group.dataset.submit).click();
  } else if (event.key === 'Escape') {
    group.querySelector('[data-escape]').click();
  }
});

document.addEventListener('htmx:after:swap', () => {
  document.querySelector('tr.edit [autofocus], tr.edit [aria-invalid]')?.focus();
});

for (const event of ['htmx:response:error', 'htmx:error']) {
  document.addEventListener(event, (e) => {
    const status = e.detail?.ctx?.response?.status;
    if (status === undefined || status >= 500) toast('That did not work; try again.');
  });
}

// Choosing a file fills the box it would otherwise be pasted into.
for (const offer of document.querySelectorAll('[data-file]')) {
  offer.hidden = false;
  offer.querySelector('input').addEventListener('change', async (event) => {
    const file = event.target.files[0];
    if (file) document.getElementById(offer.dataset.file).value = await file.text();
  });
}
