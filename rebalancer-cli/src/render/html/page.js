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
    if (cell.dataset.v === "") return null;
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  // What is not known comes last, whatever the order.
  const compare = (one, other, sign) => {
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true }));
  };
  heads.forEach((head, column) =>
    head.querySelector("button").addEventListener("click", () => {
      const orders = ["descending", "ascending"];
      // Words begin with the first letter, numbers with the largest.
      if (head.classList.contains("words")) orders.reverse();
      const order = orders.find((order) => order !== head.ariaSort);
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const rows = [...table.tBodies[0].rows];
      const sign = order === "ascending" ? 1 : -1;
      rows.sort((one, other) => compare(key(one, column), key(other, column), sign));
      table.tBodies[0].append(...rows);
    }),
  );
  table.addEventListener("click", (event) => {
    const target = event.target.closest("a");
    if (target) document.querySelector(target.getAttribute("href")).open = true;
  });
}
