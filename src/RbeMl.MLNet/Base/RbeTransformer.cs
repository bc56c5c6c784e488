using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Files;
using RbeMl.MLNet.Interop;
using RbeMl.MLNet.Rows;

namespace RbeMl.MLNet;

/// <summary>
/// Base of this library's transformers. They map rows to rows, are immutable, and may be used by many threads and prediction engines at a time.
/// </summary>
public abstract class RbeTransformer : ITransformer
{
    private readonly ushort _version;
    private int _warned;

    private protected RbeTransformer(IHostEnvironment environment, string component, ushort version = 1)
    {
        ArgumentNullException.ThrowIfNull(environment);
        Component = component;
        _version = version;
        Host = environment.Register(component);
    }

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>The component's name: the one its loader is registered under and its bytes begin with.</summary>
    private protected string Component { get; }

    private protected IHost Host { get; }

    /// <summary>The schema with the added columns.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>The data with the added columns, which are computed when a cursor asks for them.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new MappedView(Bind(input.Schema), input);
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => new RowMapper(Bind(inputSchema));

    /// <summary>Saves this transformer alone, in the library's own format.</summary>
    /// <param name="stream">Where to; it is left open.</param>
    public void Save(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ComponentFile.Write(stream, Component, writer =>
        {
            writer.Write(_version);
            Write(writer);
        });
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        MlNetInternals.Save(ctx, Component[..8].ToUpperInvariant(), Component, Save);
    }

    /// <summary>Tells ML.NET's log of a row that has no result; only of the first.</summary>
    private protected void WarnOnce(string message, params object[] arguments)
    {
        if (Interlocked.Exchange(ref _warned, 1) != 0) return;
        using IChannel channel = Host.Start("Transform");
        channel.Warning(MessageSensitivity.None, message, arguments);
    }

    /// <summary>Checks the columns and binds to them.</summary>
    private protected abstract RowMapping Bind(DataViewSchema input);

    /// <summary>Writes everything that makes this transformer.</summary>
    private protected abstract void Write(BinaryWriter writer);
}

/// <summary>A transformer that can be read back.</summary>
/// <typeparam name="TSelf">The transformer.</typeparam>
internal interface ILoadable<TSelf>
    where TSelf : RbeTransformer, ILoadable<TSelf>
{
    /// <summary>The component's name, of eight letters at least.</summary>
    static abstract string Name { get; }

    /// <summary>The newest version of what it writes; the one given to the base class. A component that writes something more gets the next one.</summary>
    static virtual ushort Version => 1;

    /// <summary>Reads what <see cref="RbeTransformer.Write"/> wrote.</summary>
    /// <param name="environment">The environment.</param>
    /// <param name="reader">The bytes.</param>
    /// <param name="version">The version that was written, 1 .. <see cref="Version"/>.</param>
    static abstract TSelf Read(IHostEnvironment environment, BinaryReader reader, int version);
}

/// <summary>What ML.NET calls to load a component.</summary>
/// <typeparam name="T">The component.</typeparam>
internal static class Loader<T>
    where T : RbeTransformer, ILoadable<T>
{
    /// <summary>Makes this loader known to a context.</summary>
    public static void Register(ComponentCatalog catalog) => MlNetInternals.Register(catalog, typeof(T), typeof(Loader<T>), T.Name);

    /// <summary>Loads from the library's own format.</summary>
    public static T Load(IHostEnvironment environment, Stream stream) => ComponentFile.Read(stream, T.Name, reader =>
    {
        ushort version = reader.ReadUInt16();
        return version is 0 || version > T.Version
            ? throw ComponentFile.Bad(T.Name, $"are of version {version} of the component; this library reads up to {T.Version}. Update RbeMl.")
            : T.Read(environment, reader, version);
    });

    /// <summary>Found and called by ML.NET by its name; <paramref name="context"/> is its load context.</summary>
    internal static T Create(IHostEnvironment environment, object context)
    {
        T? result = null;
        MlNetInternals.Load(context, T.Name[..8].ToUpperInvariant(), T.Name, stream => result = Load(environment, stream));
        return result!;
    }
}
