namespace RbeMl.Notebooks.Tests.Documents;

/// <summary>A notebook that is not as it should be: the file, the place in it, what is wrong and how to mend it.</summary>
public sealed class NotebookException(string notebook, string place, string problem, Exception? inner = null)
    : Exception($"{Path.GetFileName(notebook)}, {place}: {problem}", inner);
