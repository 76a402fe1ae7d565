for (const button of document.querySelectorAll(".query button")) {
  const code = button.nextElementSibling;
  const say = (word) => {
    button.textContent = word;
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };
  const select = () => {
    getSelection().selectAllChildren(code);
    say("Press Ctrl+C");
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    if (!navigator.clipboard) return select();
    navigator.clipboard.writeText(code.textContent).then(() => say("Copied"), select);
  });
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  const compare = (one, other) => (typeof one === "number" ? other - one : one.localeCompare(other));
  heads.forEach((head, column) =>
    head.querySelector("button").addEventListener("click", () => {
      const back = head.ariaSort === "descending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", back > 0 ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => back * compare(key(one, column), key(other, column)));
      table.tBodies[0].append(...rows);
    }),
  );
  table.addEventListener("click", (event) => {
    const target = event.target.closest("a");
    if (target) document.querySelector(target.getAttribute("href")).open = true;
  });
}
