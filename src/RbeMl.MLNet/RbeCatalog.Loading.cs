using System.Runtime.ExceptionServices;
using Microsoft.ML;
using RbeMl.MLNet.Files;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>
    /// Loads a model that <see cref="Save"/> or <c>ml.Model.Save</c> wrote, as <c>ml.Model.Load</c> does, but says what is wrong with one that is damaged:
    /// ML.NET hides the reason inside exceptions of reflection.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="inputSchema">The schema of the model's input; null when none was saved.</param>
    /// <exception cref="RbeFileException">The file cannot be read, is no model or damaged, or holds a component that this context does not know.</exception>
    public ITransformer Load(string path, out DataViewSchema? inputSchema)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        FileStream stream;
        try
        {
            stream = File.OpenRead(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new RbeFileException(path, $"cannot be read ({error.Message.TrimEnd('.')}). Check that it is a plain file you may read.", error);
        }

        using (stream) return Load(stream, path, out inputSchema);
    }

    /// <inheritdoc cref="Load(string, out DataViewSchema)"/>
    /// <param name="stream">Where from, seekable; it is left open.</param>
    /// <param name="inputSchema">The schema of the model's input; null when none was saved.</param>
    public ITransformer Load(Stream stream, out DataViewSchema? inputSchema)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Load(stream, "ML.NET model", out inputSchema);
    }

    private ITransformer Load(Stream stream, string name, out DataViewSchema? inputSchema)
    {
        ModelArchive.Check(stream, name);
        try
        {
            return Context.Model.Load(stream, out inputSchema);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            Exception cause = error;
            for (; cause is not RbeException && cause.InnerException is { } inner; cause = inner)
            {
            }

            if (cause is RbeException) ExceptionDispatchInfo.Throw(cause); // this library's own: it says what is wrong
            throw new RbeFileException(name, $"cannot be loaded ({cause.Message.TrimEnd('.')}). It is damaged, or holds a component that this context does not know: save it again.", error);
        }
    }
}
