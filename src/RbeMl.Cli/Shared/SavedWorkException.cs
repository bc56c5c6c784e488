namespace RbeMl.Cli;

/// <summary>A failure after work was saved: reported as what it is, and where the work is.</summary>
/// <param name="failure">What failed.</param>
/// <param name="saved">A sentence that says where the work is.</param>
internal sealed class SavedWorkException(Exception failure, string saved) : Exception(saved, failure);
