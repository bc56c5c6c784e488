using System.Runtime.ExceptionServices;

namespace RbeMl.Cli;

/// <summary>Work after the model was saved: every part is done, whatever becomes of the others, and the first failure is reported at the end.</summary>
internal sealed class LaterWork
{
    private Exception? _first;

    /// <summary>Does a part.</summary>
    public void Do(Action part)
    {
        try
        {
            part();
        }
        catch (Exception error)
        {
            _first ??= error;
        }
    }

    /// <summary>Reports the first failure, if there was one.</summary>
    /// <param name="saved">A sentence that says where the work is; null where nothing was saved, and the failure says it all.</param>
    /// <exception cref="SavedWorkException">A part failed.</exception>
    public void ThrowFirst(string? saved)
    {
        if (_first is null) return;
        if (saved is null) ExceptionDispatchInfo.Throw(_first);
        throw new SavedWorkException(_first, saved);
    }
}
