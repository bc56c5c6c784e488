using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace RbeMl.MLNet.Interop;

/// <summary>
/// The only file that touches non-public members of ML.NET: what saving, loading and promising a column need and the public surface lacks. They are
/// looked up once; where one is missing, the loaded version of Microsoft.ML is named and the own format is pointed to.
/// </summary>
internal static class MlNetInternals
{
    private const BindingFlags Any = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;
    private const string StreamName = "Rbe.bin";
    private static readonly Assembly Own = typeof(MlNetInternals).Assembly;
    private static readonly Lazy<Members> Resolved = new(() => new Members());

    // Loading, ML.NET asks for a component's assembly by its name, in the load context that it lives in itself. Notebooks and hosts of
    // plug-ins have ours in another.
    static MlNetInternals() => AppDomain.CurrentDomain.AssemblyResolve += (_, wanted) =>
        wanted.Name == Own.GetName().Name || wanted.Name.StartsWith(Own.GetName().Name + ",", StringComparison.Ordinal) ? Own : null;

    /// <summary>The non-public members used, as <c>Type.Member</c>.</summary>
    public static IReadOnlyList<string> Touched => Members.Names;

    /// <summary>A column of a <see cref="SchemaShape"/>.</summary>
    public static SchemaShape.Column Column(string name, SchemaShape.Column.VectorKind kind, DataViewType item, bool isKey, SchemaShape? annotations)
        => (SchemaShape.Column)Invoke(() => Resolved.Value.NewColumn.Invoke([name, kind, item, isKey, annotations]))!;

    /// <summary>The shape of a schema.</summary>
    public static SchemaShape Shape(DataViewSchema schema) => (SchemaShape)Invoke(() => Resolved.Value.CreateShape.Invoke(null, [schema]))!;

    /// <summary>Writes a component into a model that is being saved.</summary>
    /// <param name="context">The model.</param>
    /// <param name="signature">Eight letters that name the component.</param>
    /// <param name="loader">The name its loader is registered under.</param>
    /// <param name="write">Writes the component's bytes.</param>
    public static void Save(ModelSaveContext context, string signature, string loader, Action<Stream> write)
    {
        Members m = Resolved.Value;
        Invoke(() => m.SetVersion.Invoke(context, [m.Version(signature, loader)]));
        Action<BinaryWriter> action = writer =>
        {
            writer.Flush();
            write(writer.BaseStream);
        };
        Invoke(() => m.SaveBinary.Invoke(context, [StreamName, action]));
    }

    /// <summary>Reads a component from a model that is being loaded.</summary>
    /// <param name="context">ML.NET's load context.</param>
    /// <param name="signature">As in <see cref="Save"/>.</param>
    /// <param name="loader">As in <see cref="Save"/>.</param>
    /// <param name="read">Reads the component's bytes.</param>
    public static void Load(object context, string signature, string loader, Action<Stream> read)
    {
        Members m = Resolved.Value;
        Invoke(() => m.CheckVersion.Invoke(context, [m.Version(signature, loader)]));
        Action<BinaryReader> action = reader => read(reader.BaseStream);
        if (!(bool)Invoke(() => m.LoadBinary.Invoke(context, [StreamName, action]))!)
        {
            throw new RbeFileException("ML.NET model", $"holds no {StreamName} for {loader}. It is damaged or was written by something else; save it again.");
        }
    }

    /// <summary>Makes a loader known to a context. Doing so again changes nothing.</summary>
    public static void Register(ComponentCatalog catalog, Type instance, Type loader, string loadName)
        => catalog.RegisterAssembly(new LoaderManifest(Resolved.Value, instance, loader, loadName), throwOnError: true);

    /// <summary>The environment that a catalog such as <c>ml.Transforms.Text</c> makes its components in.</summary>
    /// <exception cref="NotSupportedException">The catalog does not tell.</exception>
    public static IHostEnvironment Environment(object catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        PropertyInfo? property = catalog.GetType().GetInterfaces().Select(i => i.GetProperty("Environment"))
            .FirstOrDefault(p => p is not null && typeof(IHostEnvironment).IsAssignableFrom(p.PropertyType));
        return property?.GetValue(catalog) as IHostEnvironment
            ?? throw new NotSupportedException($"{catalog.GetType().Name} does not tell its environment. Use ml.Rbe in its place.");
    }

    private static object? Invoke(Func<object?> call)
    {
        try
        {
            return call();
        }
        catch (TargetInvocationException e) when (e.InnerException is { } inner)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(inner);
            throw;
        }
    }

    private sealed class Members
    {
        public static readonly string[] Names =
        [
            "SchemaShape.Column..ctor", "SchemaShape.Create", "ModelSaveContext.SetVersionInfo", "ModelSaveContext.SaveBinaryStream", "VersionInfo..ctor",
            "ModelLoadContext.CheckAtModel", "ModelLoadContext.TryLoadBinaryStream", "LoadableClassAttribute..ctor",
                "LoadableClassAttributeBase", "SignatureLoadModel", "IInternalCatalog.Environment",
        ];

        private static readonly Assembly Core = typeof(ITransformer).Assembly;
        private readonly ConstructorInfo _newVersion;
        private readonly ConstructorInfo _newLoadable;

        public Members()
        {
            Type context = TypeOf("Microsoft.ML.ModelLoadContext");
            Type version = TypeOf("Microsoft.ML.VersionInfo");
            LoadableBase = TypeOf("Microsoft.ML.LoadableClassAttributeBase");
            Signature = TypeOf("Microsoft.ML.SignatureLoadModel");
            NewColumn = Only(typeof(SchemaShape.Column).GetConstructors(Any).Where(c => c.GetParameters().Length == 5), "SchemaShape.Column..ctor");
            CreateShape = Method(typeof(SchemaShape), "Create", typeof(DataViewSchema));
            SetVersion = Method(typeof(ModelSaveContext), "SetVersionInfo", version);
            SaveBinary = Method(typeof(ModelSaveContext), "SaveBinaryStream", typeof(string), typeof(Action<BinaryWriter>));
            CheckVersion = Method(context, "CheckAtModel", version);
            LoadBinary = Method(context, "TryLoadBinaryStream", typeof(string), typeof(Action<BinaryReader>));
            _newVersion = Only(version.GetConstructors(Any).Where(c => c.GetParameters().Length == 7), "VersionInfo..ctor");
            _newLoadable = Only(
                TypeOf("Microsoft.ML.LoadableClassAttribute").GetConstructors(Any)
                .Where(c => c.GetParameters() is { Length: 6 } p && p[0].ParameterType == typeof(Type) && p[1].ParameterType == typeof(Type)),
                "LoadableClassAttribute..ctor");
        }

        public ConstructorInfo NewColumn { get; }

        public MethodInfo CreateShape { get; }

        public MethodInfo SetVersion { get; }

        public MethodInfo SaveBinary { get; }

        public MethodInfo CheckVersion { get; }

        public MethodInfo LoadBinary { get; }

        public Type LoadableBase { get; }

        private Type Signature { get; }

        // The simple name of the assembly: with the full one a new version could not load an old model. What changes between versions is in our own bytes.
        public object Version(string signature, string loader)
            => _newVersion.Invoke([signature, 0x00010001u, 0x00010001u, 0x00010001u, Own.GetName().Name, loader, null]);

        public object Loadable(Type instance, Type loader, string loadName) =>
            _newLoadable.Invoke([instance, loader, null, Signature, loadName, new[] { loadName }]);

        private static Type TypeOf(string name) => Core.GetType(name) ?? throw Missing(name);

        private static MethodInfo Method(Type type, string name, params Type[] parameters)
            => type.GetMethod(name, Any, parameters) ?? throw Missing($"{type.Name}.{name}");

        private static ConstructorInfo Only(IEnumerable<ConstructorInfo> found, string name) => found.FirstOrDefault() ?? throw Missing(name);

        private static NotSupportedException Missing(string member) => new(
            $"Microsoft.ML {Core.GetName().Version} has no {member}, which saving, loading and chaining RbeMl's components need. Use "
            + $"Microsoft.ML 5.0.1, or the components' own Save(Stream) and Load.");
    }

    /// <summary>Hands ML.NET's catalog the loader of one component, as an assembly that declares it would.</summary>
    private sealed class LoaderManifest(Members members, Type instance, Type loader, string loadName) : Assembly
    {
        public override string FullName => "RbeMl.LoaderManifest/" + loadName;

        public override Type[] GetTypes() => [];

        public override object[] GetCustomAttributes(Type attributeType, bool inherit)
        {
            if (attributeType != members.LoadableBase) return (object[])Array.CreateInstance(attributeType, 0);
            Array attributes = Array.CreateInstance(members.LoadableBase, 1);
            attributes.SetValue(members.Loadable(instance, loader, loadName), 0);
            return (object[])attributes;
        }
    }
}
