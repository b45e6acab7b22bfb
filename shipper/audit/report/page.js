(() => {
  const form = document.getElementById('filter');
  const [find, kind, expert, shown] = ['find', 'kind', 'expert', 'shown'].map((id) => document.getElementById(id));
  const blocks = [...document.querySelectorAll('.block')].map((el) => ({
    el, rows: [...el.children].map((row) => ({ row, k: row.dataset.k.split(' '), x: row.dataset.x, text: '' })),
  }));
  const all = blocks.reduce((n, b) => n + b.rows.length, 0);
  const number = (n) => n.toLocaleString('en');
  const apply = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const block of blocks) {
      let here = 0;
      for (const r of block.rows) {
        if (words.length && !r.text) r.text = r.row.firstElementChild.textContent.toLowerCase();
        const fits = (!kind.value || r.k.includes(kind.value)) && (!expert.value || r.x === expert.value) && words.every((w) => r.text.includes(w));
        if (r.row.hidden === fits) r.row.hidden = !fits;
        if (fits) here++;
      }
      block.el.hidden = here === 0;
      block.el.style.containIntrinsicSize = `auto ${here * 29}px`;
      count += here;
    }
    shown.textContent = count === all ? `${number(all)} rows` : `${number(count)} of ${number(all)} rows`;
  };
  let timer;
  find.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(apply, 120); });
  kind.addEventListener('change', apply);
  expert.addEventListener('change', apply);
  form.addEventListener('submit', (event) => event.preventDefault());
  document.getElementById('fold').addEventListener('click', () => {
    for (const open of document.querySelectorAll('#events details[open]')) open.open = false;
  });
  form.hidden = false;
  apply();
})();
